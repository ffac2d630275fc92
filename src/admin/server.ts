// The admin server: /metrics, /healthz and /readyz over HTTP for whoever may reach its address; read-only and bounded.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { messageOf, PulsewardError } from '../errors.ts'
import { replyTo, send, text } from './reply.ts'
import type { Shown } from './reply.ts'

export interface Address {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
}

/** All in milliseconds. The defaults are generous for Prometheus and tight for anything else. */
interface AdminTimeouts {
  /** For the whole head of a request, from the connection or the request before it. */
  readonly headers: number
  /** For the whole request. */
  readonly request: number
  /** Without a byte moving on a connection that has a request: cuts off who does not read the answer. */
  readonly idle: number
  /** Between two requests on a connection. */
  readonly keepAlive: number
  /** How often the first two are checked. */
  readonly check: number
}

interface AdminOptions extends Shown {
  readonly bind: Address
  readonly log: { warn(fields: Readonly<Record<string, unknown>>, message: string): void }
  readonly timeouts?: Partial<AdminTimeouts>
}

export interface AdminServer extends AsyncDisposable {
  /** Where it listens now, with the port it really got. */
  readonly address: Address
  /**
   * Moves to another address and lets replies that are being written at the old one end. When it cannot, it stays.
   *
   * @throws {PulsewardError} `admin-bind`, blame `config`.
   */
  rebind(bind: Address): Promise<void>
}

const defaults: AdminTimeouts = { headers: 5000, request: 10_000, idle: 15_000, keepAlive: 5000, check: 1000 }
const MOST_CONNECTIONS = 64
/** On one connection; who sends more at once makes Node keep as many answers in memory. */
const MOST_REQUESTS = 16
const LARGEST_HEAD = 8 * 1024
/** How long replies that are being written may take when the server closes. */
const GRACE = 1000

/**
 * Listens and answers.
 *
 * @throws {PulsewardError} `admin-bind`, blame `config`, when the address cannot be had.
 */
export async function startAdmin(options: AdminOptions): Promise<AdminServer> {
  let bound = options.bind
  let server = await listen(options, bound)
  let address = addressOf(server)
  return {
    get address() {
      return address
    },
    async rebind(bind) {
      if (bind.host === bound.host && bind.port === bound.port) return
      const left = server
      // Of one port, an address and "any address" exclude each other: then the old one has to go first.
      const clash = bind.port === address.port
      const gone = clash ? close(left) : undefined
      try {
        server = await listen(options, bind)
      } catch (error) {
        if (clash) server = await listen(options, address)
        throw error
      }
      bound = bind
      address = addressOf(server)
      await (gone ?? close(left))
    },
    [Symbol.asyncDispose]: () => close(server),
  }
}

async function listen(options: AdminOptions, { host, port }: Address): Promise<Server> {
  const timeouts = { ...defaults, ...options.timeouts }
  const server = createServer({
    maxHeaderSize: LARGEST_HEAD,
    headersTimeout: timeouts.headers,
    requestTimeout: timeouts.request,
    connectionsCheckingInterval: timeouts.check,
    keepAliveTimeout: timeouts.keepAlive,
  })
  server.maxConnections = MOST_CONNECTIONS
  server.maxRequestsPerSocket = MOST_REQUESTS
  server.timeout = timeouts.idle
  server.on('request', (request, response) => void answer(request, response, options))
  server.on('checkContinue', (_, response: ServerResponse) =>
    send(response, text(417, 'a request here carries no body')),
  )
  server.listen({ host, port })
  try {
    await once(server, 'listening')
  } catch (error) {
    throw new PulsewardError(
      'admin-bind',
      'config',
      `cannot listen on "${host}:${port}": ${messageOf(error)}`,
      {
        hint: 'change metrics.bind in proxy.yaml, or stop what listens there',
        cause: error,
      },
    )
  }
  // Running out of descriptors while accepting is no reason to die; the next scrape tries again.
  server.on('error', (error) => options.log.warn({ error }, 'the admin server cannot accept a connection'))
  return server
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: AdminOptions,
): Promise<void> {
  try {
    send(response, await replyTo(request, options))
  } catch (error) {
    options.log.warn({ error, path: request.url }, 'the admin server cannot answer')
    if (response.headersSent) response.destroy()
    else send(response, text(500, 'cannot answer: see the log'))
  }
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return
  const timer = setTimeout(() => server.closeAllConnections(), GRACE)
  await new Promise<void>((resolve) => server.close(() => resolve()))
  clearTimeout(timer)
}

function addressOf(server: Server): Address {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the admin server does not listen')
  return { host: address.address, port: address.port }
}
