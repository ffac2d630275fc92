// The answers of the admin server: one function from a request to a status, headers and a body.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { BlockList, isIPv4, isIPv6 } from 'node:net'
import type { Readiness } from './readiness.ts'

type Page = (shown: Shown) => Reply | Promise<Reply>

/** What the admin server shows; `expose` of the metrics and whatever knows the brokers. */
export interface Shown {
  readonly metrics: { readonly contentType: string; expose(): Promise<string> }
  readonly readiness: () => Readiness
}

export interface Reply {
  readonly status: number
  readonly type: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

export async function replyTo(request: IncomingMessage, shown: Shown): Promise<Reply> {
  if (isRebound(request))
    return text(421, 'on loopback, ask for this server as 127.0.0.1, [::1] or localhost')
  const path = request.url?.split('?', 1)[0]
  const page = path === undefined ? undefined : pages.get(path)
  if (page === undefined) return text(404, `not found: there are ${[...pages.keys()].join(', ')}`)
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { ...text(405, 'method not allowed: only GET and HEAD are'), headers: { Allow: 'GET, HEAD' } }
  }
  if (carriesBody(request)) return text(400, 'a request here carries no body')
  return page(shown)
}

/** Sends a reply: never cached, never sniffed, never framed, and read by pages of no other origin. */
export function send(response: ServerResponse, { status, type, body, headers }: Reply): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'Cross-Origin-Resource-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    // After a refusal the connection ends, and with it a body nobody is going to read.
    ...(status >= 400 && status < 500 ? { Connection: 'close' } : {}),
    ...headers,
  })
  // Node leaves the body out of the answer to HEAD by itself.
  response.end(body)
}

export function text(status: number, message: string): Reply {
  return { status, type: 'text/plain; charset=utf-8', body: `${message}\n` }
}

const pages: ReadonlyMap<string, Page> = new Map<string, Page>([
  [
    '/metrics',
    async ({ metrics }) => ({ status: 200, type: metrics.contentType, body: await metrics.expose() }),
  ],
  ['/healthz', () => text(200, 'ok')],
  ['/readyz', ({ readiness }) => json(readiness())],
])

function json(readiness: Readiness): Reply {
  const body = `${JSON.stringify(readiness, undefined, 2)}\n`
  return { status: readiness.ready ? 200 : 503, type: 'application/json', body }
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/**
 * Whether a request over loopback may have come through DNS rebinding: a web page whose own name was made to resolve to
 * this machine reads, through its visitor's browser, what only this machine should. Addresses, `localhost` and names
 * without a dot are no such page's name. Off loopback every name is welcome: Prometheus scrapes by DNS name there, and
 * who reaches the port may read it without tricks.
 */
function isRebound({ socket, headers }: IncomingMessage): boolean {
  const local = socket.localAddress ?? ''
  if (!loopback.check(local, isIPv6(local) ? 'ipv6' : 'ipv4')) return false
  const name = (headers.host ?? '')
    .replace(/:\d{0,5}$/, '')
    .replace(/\.$/, '')
    .toLowerCase()
  const address = isIPv4(name) || (name.startsWith('[') && isIPv6(name.slice(1, -1)))
  return !address && name.includes('.') && !name.endsWith('.localhost')
}

function carriesBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}
