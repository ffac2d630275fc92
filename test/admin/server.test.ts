// The admin server: its pages, what it refuses, and how little a hostile client gets out of it.
import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage, RequestOptions } from 'node:http'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { judgeReadiness } from '../../src/admin/readiness.ts'
import type { Readiness } from '../../src/admin/readiness.ts'
import { startAdmin } from '../../src/admin/server.ts'
import type { AdminServer } from '../../src/admin/server.ts'
import { createMetrics } from '../../src/observe/metrics.ts'

const bind = { host: '127.0.0.1', port: 0 }
const upstreams = {
  hospital: {
    trusted: true,
    servers: [
      {
        server: 'broker-a.example:8883',
        verdict: 'trusted',
        reasons: [],
        lastCheck: '2026-11-02T08:00:00.000Z',
        addresses: [
          {
            address: '192.0.2.7',
            verdict: 'trusted',
            reasons: [],
            lastCheck: '2026-11-02T08:00:00.000Z',
          },
        ],
      },
    ],
    firstUse: [],
  },
}
const ready = judgeReadiness({ draining: false, starting: false, upstreams })

describe('pages', () => {
  it('/metrics is the exposition, with its content type and length', async () => {
    await using admin = await start()
    const reply = await ask(admin, { path: '/metrics?from=prometheus' })
    expect(reply.status).toBe(200)
    expect(reply.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(reply.body).toContain('# TYPE pulseward_build_info gauge')
    expect(reply.headers['content-length']).toBe(String(Buffer.byteLength(reply.body)))
  })

  it('HEAD gets the same head and no body', async () => {
    await using admin = await start()
    const reply = await ask(admin, { path: '/metrics', method: 'HEAD' })
    expect(reply).toMatchObject({ status: 200, body: '' })
    expect(Number(reply.headers['content-length'])).toBeGreaterThan(1000)
  })

  it('/healthz says ok', async () => {
    await using admin = await start()
    expect(await ask(admin, { path: '/healthz' })).toMatchObject({ status: 200, body: 'ok\n' })
  })

  it('/readyz follows readiness and tells each server', async () => {
    let readiness: Readiness = ready
    await using admin = await start({ readiness: () => readiness })
    const first = await ask(admin, { path: '/readyz' })
    expect(first.status).toBe(200)
    expect(first.headers['content-type']).toBe('application/json')
    expect(JSON.parse(first.body)).toEqual({ ready: true, draining: false, starting: false, upstreams })
    readiness = judgeReadiness({ draining: true, starting: false, upstreams })
    const second = await ask(admin, { path: '/readyz' })
    expect(second.status).toBe(503)
    expect(JSON.parse(second.body)).toEqual({ ready: false, draining: true, starting: false, upstreams })
  })

  it('carry headers that keep browsers from caching, sniffing, framing or sharing them', async () => {
    await using admin = await start()
    for (const path of ['/metrics', '/healthz', '/readyz', '/nowhere']) {
      const { headers } = await ask(admin, { path })
      expect(headers).toMatchObject({
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'cross-origin-resource-policy': 'same-origin',
      })
      expect(headers['access-control-allow-origin']).toBeUndefined()
    }
  })
})

describe('readiness', () => {
  const distrusted = { trusted: false, servers: [], firstUse: [] }

  it('needs one trusted broker, no draining, and a look at every server', () => {
    const { hospital } = upstreams
    expect(judgeReadiness({ draining: false, starting: true, upstreams }).ready).toBe(false)
    expect(
      judgeReadiness({ draining: false, starting: false, upstreams: { hospital, other: distrusted } }).ready,
    ).toBe(true)
    expect(judgeReadiness({ draining: false, starting: false, upstreams: { other: distrusted } }).ready).toBe(
      false,
    )
    expect(judgeReadiness({ draining: false, starting: false, upstreams: {} }).ready).toBe(false)
    expect(judgeReadiness({ draining: true, starting: false, upstreams }).ready).toBe(false)
  })
})

describe('refusals', () => {
  it.each(['/', '/metrics/', '/metrics%2f', '/../metrics', '//metrics', '/__proto__', '/constructor'])(
    '404 for %s',
    async (path) => {
      await using admin = await start()
      expect((await ask(admin, { path })).status).toBe(404)
    },
  )

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE'])('405 with Allow for %s', async (method) => {
    await using admin = await start()
    const reply = await ask(admin, { path: '/metrics', method })
    expect(reply.status).toBe(405)
    expect(reply.headers).toMatchObject({ allow: 'GET, HEAD', connection: 'close' })
  })

  it('a body is not read: the connection ends after the refusal', async () => {
    await using admin = await start()
    const head = 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n'
    expect(await say(admin, `${head}Content-Length: 1000000000\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /)
    expect(await say(admin, `${head}Transfer-Encoding: chunked\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /)
    const asked = await say(admin, `${head}Expect: 100-continue\r\nContent-Length: 9\r\n\r\n`)
    expect(asked).toMatch(/^HTTP\/1\.1 417 /)
    expect(asked).not.toContain('100 Continue')
  })

  it.each([
    ['an oversized head', `GET /metrics HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(9000)}\r\n\r\n`, 431],
    ['no HTTP at all', '\u0010\u0010\u0000\u0004MQTT', 400],
    ['no Host in HTTP/1.1', 'GET /metrics HTTP/1.1\r\n\r\n', 400],
    [
      'two lengths (request smuggling)',
      'GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
    ],
  ])('%s', async (_, bytes, status) => {
    await using admin = await start()
    const answer = await say(admin, bytes)
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(answer).not.toContain('    at ')
  })

  it.each([
    'rebind.attacker.example',
    'rebind.attacker.example:9464',
    '127.0.0.1.attacker.example',
    '[evil.example]',
  ])('over loopback, the foreign name %s (DNS rebinding)', async (host) => {
    await using admin = await start()
    expect((await ask(admin, { path: '/metrics', headers: { host } })).status).toBe(421)
  })

  it.each([
    'localhost:9464',
    'LOCALHOST',
    '127.0.0.1',
    '[::1]:9464',
    'pulseward:9464',
    'a.localhost',
    'localhost.',
  ])('but not %s', async (host) => {
    await using admin = await start()
    expect((await ask(admin, { path: '/healthz', headers: { host } })).status).toBe(200)
  })

  it('a failure is logged and the client learns nothing about it', async () => {
    const lines: unknown[] = []
    const expose = () => Promise.reject(new Error('secret detail'))
    await using admin = await start({
      metrics: { contentType: 'text/plain', expose },
      log: { warn: (fields, message) => void lines.push({ fields, message }) },
    })
    const reply = await ask(admin, { path: '/metrics' })
    expect(reply).toMatchObject({ status: 500, body: 'cannot answer: see the log\n' })
    expect(lines).toEqual([
      { fields: { error: expect.any(Error), path: '/metrics' }, message: 'the admin server cannot answer' },
    ])
  })
})

describe('hostile clients', () => {
  const timeouts = { headers: 200, request: 300, idle: 400, keepAlive: 200, check: 20 }

  it('a request that trickles in is cut off (slowloris)', async () => {
    await using admin = await start({ timeouts })
    const socket = dial(admin)
    let sent = 0
    const trickle = setInterval(() => {
      sent += 1
      socket.write(sent === 1 ? 'GET /metrics HTTP/1.1\r\nHost: a\r\n' : `X-${sent}: y\r\n`)
    }, 20)
    // Counts until the server ends it; without the timeout the trickle would go on for ever.
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 408 /)
    clearInterval(trickle)
  })

  it('a connection that says nothing is cut off', async () => {
    await using admin = await start({ timeouts })
    const socket = dial(admin)
    await text(socket)
    expect(socket.readableEnded).toBe(true)
  })

  it('a connection kept alive without a request is closed', async () => {
    await using admin = await start({ timeouts })
    const socket = dial(admin)
    socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 /)
  })

  it('pipelined requests are answered in order, and only so many', async () => {
    await using admin = await start({ timeouts })
    const one = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
    const paths = ['/healthz', '/metrics', '/readyz', '/healthz']
    const answer = await say(admin, paths.map(one).join(''))
    const types = [...answer.matchAll(/^Content-Type: (.*)$/gim)].map(([, type]) => type?.trim())
    expect(types).toEqual([
      'text/plain; charset=utf-8',
      'text/plain; version=0.0.4; charset=utf-8',
      'application/json',
      'text/plain; charset=utf-8',
    ])
    const flood = await say(admin, one('/healthz').repeat(500))
    expect(flood.match(/^HTTP\/1\.1 200 /gm)).toHaveLength(16)
  })

  it('more connections than allowed are closed, the others still served', async () => {
    await using admin = await start()
    const sockets = Array.from({ length: 64 }, () => dial(admin))
    await Promise.all(sockets.map((socket) => once(socket, 'connect')))
    const extra = dial(admin)
    expect(await text(extra).catch(() => '')).toBe('')
    sockets[0]?.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    expect(await text(sockets[0] as Socket)).toContain('200 OK')
    for (const socket of sockets) socket.destroy()
  })
})

describe('its address', () => {
  it('that is taken is an error that says what to do', async () => {
    await using admin = await start()
    await expect(start({ bind: admin.address })).rejects.toMatchObject({
      code: 'admin-bind',
      blame: 'config',
      message: expect.stringContaining(`"127.0.0.1:${admin.address.port}"`),
      hint: expect.stringContaining('metrics.bind'),
    })
  })

  it('can change: the new one answers, the old one no longer', async () => {
    await using admin = await start()
    const old = admin.address
    await admin.rebind({ host: '127.0.0.2', port: 0 })
    expect(admin.address.host).toBe('127.0.0.2')
    expect((await ask(admin, { path: '/healthz' })).status).toBe(200)
    await expect(ask({ address: old }, { path: '/healthz' })).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('can widen to any address on the same port', async () => {
    await using admin = await start()
    const { port } = admin.address
    await admin.rebind({ host: '0.0.0.0', port })
    expect(admin.address).toEqual({ host: '0.0.0.0', port })
    expect((await ask({ address: { host: '127.0.0.1', port } }, { path: '/healthz' })).status).toBe(200)
  })

  it('stays when the new one cannot be had', async () => {
    await using taken = await start()
    await using admin = await start()
    const { address } = admin
    await expect(admin.rebind(taken.address)).rejects.toMatchObject({ code: 'admin-bind' })
    await expect(admin.rebind({ host: '192.0.2.1', port: address.port })).rejects.toMatchObject({
      code: 'admin-bind',
    })
    expect(admin.address).toEqual(address)
    expect((await ask(admin, { path: '/healthz' })).status).toBe(200)
  })

  it('is free again after disposal, which waits for no idle client', async () => {
    const admin = await start()
    const { address } = admin
    const idle = dial(admin)
    await once(idle, 'connect')
    const ended = text(idle)
    await admin[Symbol.asyncDispose]()
    await ended
    await using next = await start({ bind: address })
    expect(next.address).toEqual(address)
  })
})

function start(options: Partial<Parameters<typeof startAdmin>[0]> = {}): Promise<AdminServer> {
  const metrics = createMetrics({ version: '1.2.3' })
  return startAdmin({ bind, metrics, readiness: () => ready, log: { warn: () => undefined }, ...options })
}

interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

async function ask({ address }: Pick<AdminServer, 'address'>, options: RequestOptions): Promise<Answer> {
  const asked = request({ ...address, agent: false, ...options })
  asked.end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  return { status: response.statusCode, headers: response.headers, body: await text(response) }
}

/** Sends bytes and returns everything that comes back until the server ends the connection. */
async function say(admin: AdminServer, bytes: string): Promise<string> {
  const socket = dial(admin)
  socket.write(bytes, 'latin1')
  return text(socket)
}

function dial({ address }: AdminServer): Socket {
  return connect(address).on('error', () => undefined)
}
