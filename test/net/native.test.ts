import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { descriptorOf, NativeError, openNative, type Native, type SystemCalls } from '../../src/net/native.ts'
import { parseSyn } from '../../src/net/syn.ts'

const onLinux = process.platform === 'linux'
const asRoot = onLinux && process.getuid?.() === 0

function native(): Native {
  const opened = openNative()
  if (!('native' in opened)) throw new Error(opened.why)
  return opened.native
}

/** A server on loopback that keeps SYNs, and both ends of one connection to it. */
async function pair(calls: Native, socket = (port: number) => connect(port, '127.0.0.1')) {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  calls.saveSyn(descriptorOf(server)!)
  const { port } = server.address() as { port: number }
  const client = socket(port)
  const [accepted] = (await once(server, 'connection')) as [Socket]
  return { server, client, accepted, port, [Symbol.dispose]: () => close(server, client, accepted) }
}

function close(server: Server, ...sockets: Socket[]): void {
  for (const one of sockets) one.destroy()
  server.close()
}

test.skipIf(!onLinux)('the SYN of a connection and its least round trip are read', async () => {
  const calls = native()
  using ends = await pair(calls)
  const fd = descriptorOf(ends.accepted)!
  const syn = parseSyn(calls.readSyn(fd)!)
  expect(syn).toMatchObject({ ip: 4, ttl: 64, hops: 0, mac: '00:00:00:00:00:00' })
  expect(syn?.options).toContain('M')
  // The kernel gives it away once.
  expect(calls.readSyn(fd)).toBeUndefined()
  ends.client.write('x')
  await once(ends.accepted, 'data')
  ends.accepted.write('y')
  await once(ends.client, 'data')
  const rtt = calls.readMinRtt(fd)!
  expect(rtt).toBeGreaterThan(0)
  expect(rtt).toBeLessThan(1_000_000)
})

test.skipIf(!onLinux)('a connection that nobody redirected has no original destination', async () => {
  const calls = native()
  using ends = await pair(calls)
  expect(calls.originalDestination(descriptorOf(ends.accepted)!, 6)).toBeUndefined()
})

test.skipIf(!asRoot)(
  'a socket comes from the address it is given, and still speaks like any other',
  async () => {
    const calls = native()
    using ends = await pair(calls, (port) =>
      calls.outgoing({ to: 4, mark: 0x50, from: '127.0.0.77' }).connect({ port, host: '127.0.0.1' }),
    )
    expect(ends.accepted.remoteAddress).toBe('127.0.0.77')
    ends.client.end('all of it')
    const [data] = (await once(ends.accepted, 'data')) as [Buffer]
    expect(data.toString()).toBe('all of it')
  },
)

test.skipIf(!asRoot)('a server takes over a descriptor that may use addresses of others', async () => {
  const calls = native()
  const fd = calls.transparentListener({ address: '127.0.0.1', port: 0 })
  const server = createServer().listen({ fd })
  await once(server, 'listening')
  const client = connect((server.address() as { port: number }).port, '127.0.0.1')
  const [accepted] = (await once(server, 'connection')) as [Socket]
  expect(accepted.localAddress).toBe('127.0.0.1')
  close(server, client, accepted)
})

test.skipIf(!onLinux)('a closed socket has no descriptor', async () => {
  const server = createServer()
  expect(descriptorOf(server)).toBeUndefined()
})

test('where koffi cannot be loaded, it says why', () => {
  const opened = openNative(() => {
    throw new Error("Cannot find module 'koffi'\nRequire stack: …")
  })
  expect(opened).toEqual({
    why: onLinux
      ? "koffi cannot be loaded: Cannot find module 'koffi'"
      : `"${process.platform}" is not Linux`,
  })
})

test.skipIf(!onLinux)('what the system refuses has its code, and the socket is closed again', () => {
  const closed: number[] = []
  const refusing: SystemCalls = {
    getsockopt: () => -1,
    setsockopt: () => -1,
    socket: () => 7,
    bind: () => -1,
    close: (fd) => closed.push(fd),
    errno: () => 1,
  }
  const opened = openNative(() => refusing)
  if (!('native' in opened)) throw new Error(opened.why)
  const calls = opened.native
  expect(() => calls.outgoing({ to: 4, mark: 1 })).toThrow(new NativeError('setsockopt', 1))
  expect(() => calls.transparentListener({ address: '::', port: 1 })).toThrow('setsockopt: EPERM')
  expect(closed).toEqual([7, 7])
  expect(calls.readMinRtt(3)).toBeUndefined()
  expect(calls.readSyn(3)).toBeUndefined()
})
