// Log lines: shape, levels, what never gets into one, and what a scanner can make of them.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PulsewardError } from '../../src/errors.ts'
import { LineLimiter } from '../../src/observe/limit.ts'
import { createLog, limitLog } from '../../src/observe/log.ts'
import type { Level } from '../../src/observe/log.ts'

describe('a line', () => {
  it('is JSON with level, time, fields and message, and nothing of the machine', () => {
    const { log, lines } = capture()
    log.info({ listener: 'ward', bytes: 12, tls: true, none: null }, 'session ended')
    expect(lines()).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        listener: 'ward',
        bytes: 12,
        tls: true,
        none: null,
        msg: 'session ended',
      },
    ])
  })

  it('is written from its level up; children follow a change', () => {
    const { log, lines } = capture('warn')
    const child = log.child({ session: 7 })
    child.info({}, 'no')
    child.warn({}, 'yes')
    log.setLevel('debug')
    child.child({ leg: 'device' }).debug({ session: 8 }, 'yes, deeper')
    log.error({}, 'yes')
    expect(lines().map(({ level, msg, session, leg }) => ({ level, msg, session, leg }))).toEqual([
      { level: 'warn', msg: 'yes', session: 7 },
      { level: 'debug', msg: 'yes, deeper', session: 8, leg: 'device' },
      { level: 'error', msg: 'yes' },
    ])
  })

  it('cannot be forged or reordered by text in it', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'binary' }), fc.anything()),
        fc.string({ unit: 'binary' }),
        (fields, msg) => {
          const { log, written, lines } = capture()
          log.warn(fields, msg)
          expect(written()).toMatch(/^[^\p{C}\p{Zl}\p{Zp}]*\n$/u)
          const [line] = lines()
          expect(line).toMatchObject({ level: 'warn', time: expect.any(String), msg: expect.any(String) })
          expect(written().match(/"level":/g)).toHaveLength(1)
        },
      ),
    )
  })

  it('keeps its own level, time and message when a field has such a name', () => {
    const { log, lines } = capture()
    log.warn({ level: 'info', time: 1, msg: 'forged' }, 'true')
    expect(lines()).toEqual([
      { level: 'warn', time: expect.any(String), level_: 'info', time_: 1, msg_: 'forged', msg: 'true' },
    ])
  })

  it('has a bounded size', () => {
    const { log, written } = capture()
    const wide = Object.fromEntries(
      Array.from({ length: 5000 }, (_, number) => [`f${number}`, 'x'.repeat(5000)]),
    )
    const deep: Record<string, unknown> = {}
    deep['self'] = deep
    log.info({ deep, list: Array.from({ length: 100_000 }, () => wide), ...wide }, 'y'.repeat(1e6))
    expect(written().length).toBeLessThan(300_000)
    expect(written()).toContain('[deeper]')
  })
})

describe('secrets', () => {
  const secret = 'canary-7f3a'

  it.each([
    [{ password: secret }],
    [{ userPassword: secret }],
    [{ connect: { will: { payload: secret } } }],
    [{ list: [{ Passphrase: secret }] }],
    [{ tls: { key: secret, privateKey: secret, private_key: secret } }],
    [{ authenticationData: secret, authorization: secret, token: secret, clientSecret: secret }],
    [{ sharedKeys: [secret], shared_key: secret }],
    [{ bytes: Buffer.from(secret), view: new Uint8Array(Buffer.from(secret)) }],
    [{ pem: `-----BEGIN RSA PRIVATE KEY-----\n${secret}\n-----END RSA PRIVATE KEY-----` }],
    [{ server: `mqtts://nurse:${secret}@broker.example:8883` }],
    [{ server: `mqtts://nurse:a/b?${secret}@broker.example:8883` }],
    [{ server: `mqtts://nurse:${secret}${'x'.repeat(2000)}@broker.example` }],
    [{ error: new Error('failed', { cause: new Error(`mqtts://a:${secret}@b`) }) }],
  ])('do not get out: %j', (fields) => {
    const { log, written } = capture()
    log.child(fields).error(fields, `see mqtts://nurse:${secret}@broker.example`)
    expect(written()).not.toContain(secret)
    expect(written()).toMatch(/\[redacted\]|bytes\]/)
  })

  it('are told by their names, not by chance: these stay', () => {
    const { log, lines } = capture()
    log.info(
      { keepAlive: 60, pins: ['sha256/AAAA='], author: 'x', url: 'mqtts://broker.example:8883' },
      'a b@c',
    )
    expect(lines()[0]).toMatchObject({
      keepAlive: 60,
      pins: ['sha256/AAAA='],
      author: 'x',
      url: 'mqtts://broker.example:8883',
      msg: 'a b@c',
    })
  })
})

describe('errors', () => {
  it('of ours are told with code, blame and hint, and the code of their cause; a bug with its first frames', () => {
    const { log, lines } = capture()
    const cause = Object.assign(new Error('connect refused'), { code: 'ECONNREFUSED' })
    const error = new PulsewardError('dial-refused', 'broker', 'nobody\nlistens', {
      hint: 'start the broker',
      cause,
    })
    log.warn({ error }, 'no broker')
    log.error({ error: new TypeError('undefined is not a function') }, 'bug')
    const [ours, bug] = lines()
    expect(ours?.['error']).toEqual({
      name: 'PulsewardError',
      message: 'nobody listens',
      code: 'dial-refused',
      blame: 'broker',
      hint: 'start the broker',
      cause: { name: 'Error', message: 'connect refused', code: 'ECONNREFUSED' },
    })
    expect(bug?.['error']).toMatchObject({
      name: 'TypeError',
      stack: expect.arrayContaining([expect.stringContaining('log.test.ts')]),
    })
  })
})

describe('limited lines', () => {
  it('are left out, counted, and told with the next one that may be written', () => {
    const { log, lines } = capture()
    let now = 0
    const count = { logLinesSuppressed: 0 }
    const write = limitLog(log, new LineLimiter({ clock: () => now, rate: 1, burst: 1 }), count)
    for (let attempt = 0; attempt < 4; attempt += 1) write('warn', 'http', { attempt }, 'refused')
    now = 1000
    write('warn', 'http', { attempt: 4 }, 'refused')
    expect(count.logLinesSuppressed).toBe(3)
    expect(lines().map(({ msg, attempt, suppressed, kind }) => ({ msg, attempt, suppressed, kind }))).toEqual(
      [
        { msg: 'refused', attempt: 0 },
        { msg: 'suppressed 3 similar lines', suppressed: 3, kind: 'http' },
        { msg: 'refused', attempt: 4 },
      ],
    )
  })
})

describe('standard output', () => {
  const module = new URL('../../src/observe/log.ts', import.meta.url).href

  it('gets every line, even those written just before the process exits', async () => {
    const child = run(`const log = createLog({ level: 'info' })
      for (let n = 0; n < 2000; n += 1) log.info({ n }, 'line')
      process.exit(0)`)
    const out = await text(child.stdout)
    expect(
      out
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { n: number }).n),
    ).toEqual(Array.from({ length: 2000 }, (_, n) => n))
  })

  it('does not grow the heap or stop the process when nobody reads it', async () => {
    const child = run(`let dropped = 0
      const log = createLog({ level: 'info', onDrop: () => { dropped += 1 } })
      for (let n = 0; n < 20000; n += 1) log.info({ text: 'x'.repeat(1000) }, 'line')
      process.send(dropped, () => process.kill(process.pid, 'SIGKILL'))`)
    const [dropped] = (await once(child, 'message')) as [number]
    expect(dropped).toBeGreaterThan(10_000)
    await once(child, 'exit')
  })

  function run(code: string) {
    const script = `import { createLog } from ${JSON.stringify(module)}\n${code}`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    })
    if (child.stdout === null) throw new Error('no standard output')
    return Object.assign(child, { stdout: child.stdout })
  }
})

function capture(level: Level = 'info') {
  let all = ''
  const log = createLog({ level, destination: { write: (line: string) => void (all += line) } })
  return {
    log,
    written: () => all,
    lines: () =>
      all
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  }
}
