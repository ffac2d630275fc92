// Waits for what happens elsewhere: asks again until it is there, and says what was missing when it never comes.

/** Far beyond what any step takes on a busy machine, and below a test's own timeout, so that the reason is told. */
const patience = 25_000
const pace = 20

/**
 * The first value of `look` that is neither `undefined` nor `false`. `what` ends the sentence "never saw …".
 * `patience` in milliseconds.
 */
export async function eventually<Value>(
  what: string | (() => string),
  look: () => Value | undefined | false | Promise<Value | undefined | false>,
  options: { readonly patience?: number } = {},
): Promise<Value> {
  const until = performance.now() + (options.patience ?? patience)
  for (;;) {
    const value = await look()
    if (value !== undefined && value !== false) return value
    if (performance.now() > until) throw new Error(`never saw ${typeof what === 'string' ? what : what()}`)
    await new Promise((resolve) => setTimeout(resolve, pace))
  }
}

/** `promise`, unless it takes so long that something must be wrong. */
export async function soon<Value>(what: string | (() => string), promise: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`never saw ${typeof what === 'string' ? what : what()}`)),
      patience,
    )
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
