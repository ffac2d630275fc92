// Fetches a list over HTTP: bounded in size, time and redirects. Who signed it is checked later, so the way need not be safe.
import { get as getPlain } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { get as getSafe } from 'node:https'
import { PulsewardError } from '../errors.ts'
import { LARGEST_LISTS } from './crl.ts'
import { version } from '../version.ts'

export interface FetchOptions {
  /** PEM certificates an HTTPS server may be signed by. */
  readonly ca: readonly string[]
  readonly signal: AbortSignal
  /** Milliseconds for all of it; 20 seconds unless given. */
  readonly timeout?: number
}

const MOST_REDIRECTS = 3

/** @throws {PulsewardError} `fetch-failed`, blame `config`; or what node says where the connection fails. */
export async function fetchList(
  url: string,
  { ca, signal, timeout = 20_000 }: FetchOptions,
): Promise<Buffer> {
  const until = AbortSignal.any([signal, AbortSignal.timeout(timeout)])
  let place = new URL(url)
  for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects += 1) {
    const response = await ask(place, ca, until)
    const { statusCode = 0, headers } = response
    if (statusCode === 200) return await collect(response, until)
    response.destroy()
    const next = statusCode >= 300 && statusCode < 400 ? URL.parse(headers.location ?? '', place.href) : null
    if (next === null) throw failure(`it answered with status ${statusCode}`)
    if (next.protocol !== 'http:' && next.protocol !== 'https:') throw failure('it leads to another protocol')
    place = next
  }
  throw failure(`it leads to another place more than ${MOST_REDIRECTS} times`)
}

async function ask(place: URL, ca: readonly string[], signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const headers = { 'accept-encoding': 'identity', 'user-agent': `pulseward/${version}` }
  const options = { headers, signal, agent: false as const }
  const request =
    place.protocol === 'https:'
      ? getSafe(place, { ...options, ca: [...ca] }, resolve)
      : getPlain(place, options, resolve)
  // After the response began, its own error says what happened; without a listener this one would end the process.
  request.on('error', (error) => reject(signal.aborted ? late(signal) : error))
  return await promise
}

async function collect(response: IncomingMessage, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > LARGEST_LISTS) throw failure('what it sends is larger than 16 MiB')
      chunks.push(chunk)
    }
  } catch (error) {
    throw signal.aborted ? late(signal) : error
  }
  return Buffer.concat(chunks)
}

function late({ reason }: AbortSignal): Error {
  return reason instanceof Error && reason.name === 'TimeoutError'
    ? failure('it took too long')
    : failure('given up')
}

function failure(message: string): PulsewardError {
  return new PulsewardError('fetch-failed', 'config', message, {
    hint: 'see whether this machine reaches the URL: curl -O URL',
  })
}
