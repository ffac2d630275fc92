// The worker's end of a call: a process of the benchmark that does what its parent asks.

/** What a worker can do; each takes one object or nothing, and may return a promise. */
export type Methods = Record<string, (params: never) => unknown>

/** One call and its answer, as they travel between parent and worker. */
export interface Call {
  readonly id: number
  readonly method: string
  readonly params: unknown
}
export interface Answer {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

/** Answers the parent's calls until the parent goes, then ends the process, so that no worker outlives a run. */
export function serve(methods: Methods): void {
  process.on('disconnect', () => process.exit())
  process.on('message', (message) => {
    const call = message as Call
    void answer(methods, call).then((reply) => process.send?.(reply))
  })
}

async function answer(methods: Methods, { id, method, params }: Call): Promise<Answer> {
  try {
    const run = methods[method]
    if (run === undefined) throw new Error(`no method "${method}"`)
    return { id, result: await run(params as never) }
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) }
  }
}
