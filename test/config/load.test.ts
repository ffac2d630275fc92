import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/config/diagnostics.ts'
import { loadConfig } from '../../src/config/load.ts'
import { makePki } from '../help/pki.ts'

const shortest = 'listeners: [{ name: ward, bind: "127.0.0.1:1883", upstream: embedded }]\n'

describe('what a file becomes', () => {
  test('the shortest file has every default', async () => {
    await using folder = await makeFolder({ 'proxy.yaml': shortest })
    const { config, text, sha256, warnings, files } = loadConfig('proxy.yaml', {}, folder.path)
    expect(config).toEqual({
      listeners: [
        {
          name: 'ward',
          bind: { host: '127.0.0.1', port: 1883 },
          accept: ['mqtt', 'mqtts'],
          tls: {
            certificate: 'auto',
            names: expect.arrayContaining(['localhost', '127.0.0.1', '::1']),
            minVersion: 'TLSv1.2',
          },
          upstream: 'embedded',
          mode: 'direct',
          interfaces: [],
          destinations: [],
          otherDestinations: 'upstream',
          trustedProxies: [],
          preserveSource: false,
          limits: {
            connections: 10_000,
            perAddress: 64,
            connectTimeout: 10_000,
            maxConnectPacket: 65_536,
            maxControlPacket: 262_144,
            maxPacket: 2_097_152,
            idle: 86_400_000,
            halfClose: 60_000,
          },
          identity: {},
        },
      ],
      upstreams: {},
      metrics: { bind: { host: '127.0.0.1', port: 9464 } },
      log: { level: 'info' },
      state: join(folder.path, 'state'),
      evidence: { repeat: 3_600_000, maxSize: 67_108_864, maxIncidents: 1000 },
      identity: {
        mode: 'off',
        learn: 86_400_000,
        maxDevices: 100_000,
        keep: 31_536_000_000,
        neighbours: true,
      },
      reload: { watch: true },
      drain: { timeout: 30_000 },
      policy: { mode: 'enforce' },
      inspection: {
        preset: 'standard',
        rules: {},
        limits: {
          topicLevels: 200,
          filters: 512,
          userProperties: 128,
          propertyBytes: 65_536,
          topicAliases: 1024,
          topicAliasBytes: 65_536,
          resends: 1,
          keepAlive: 3600,
          publishRate: 1000,
          clientIdChurn: 30,
          clientIdCharacters: 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:',
          dollarTopics: expect.arrayContaining(['$SYS', '$aws', '$iothub']),
        },
      },
      classes: [],
      detectors: [
        { kind: 'clear-credentials', action: 'report' },
        { kind: 'wide-subscription', action: 'report', systemTopics: true },
      ],
    })
    expect(config.listeners[0]?.tls.names.includes(hostname().toLowerCase())).toBe(
      /^[a-z][a-z0-9.-]*$/i.test(hostname()),
    )
    expect(text).toBe(shortest)
    expect(sha256).toBe(createHash('sha256').update(shortest).digest('hex'))
    expect(warnings).toEqual([])
    expect(files).toEqual([])
  })

  test('an upstream has every default, and its pins their one spelling', async () => {
    const pins = `[sha256/${'A'.repeat(43)}, "sha256:${'01'.repeat(32)}"]`
    await using folder = await makeFolder({
      'proxy.yaml': [
        'listeners: [{ name: ward, bind: "[::]:0", upstream: hospital }]',
        `upstreams: { hospital: { servers: [mqtts://Broker.example, "mqtts://[::1]:1"], tls: { pins: ${pins} } } }`,
      ].join('\n'),
    })
    const { config, warnings } = loadConfig('proxy.yaml', {}, folder.path)
    expect(config.upstreams).toEqual({
      hospital: {
        servers: [
          { host: 'broker.example', port: 8883 },
          { host: '::1', port: 1 },
        ],
        tls: {
          minVersion: 'TLSv1.3',
          ca: 'system',
          pins: [
            { pin: `sha256/${'A'.repeat(43)}=` },
            { pin: `sha256/${Buffer.alloc(32, 1).toString('base64')}` },
          ],
          singlePin: 'refuse',
          pinMode: 'enforce',
          firstUse: 'refuse',
          profile: 'enforce',
          profileAfter: 86_400_000,
          warnBefore: 30 * 86_400_000,
          postQuantum: 'prefer',
          resumption: 'on',
          weakCertificates: 'refuse',
          revocation: { crl: [], refresh: 21_600_000, staple: 'check', unknown: 'accept' },
        },
        plaintext: 'loopback',
        timeouts: { dial: 5000, handshake: 10_000, connack: 30_000, distrust: 60_000 },
        canary: { interval: 300_000 },
        proxyProtocol: 'off',
      },
    })
    expect(warnings).toEqual([])
  })

  test('paths begin at the directory of the file, and every file it names is listed', async () => {
    const pki = await makePki()
    const leaf = await pki.issue()
    const elsewhere = await makeFolder({ 'ca.pem': pki.ca.cert })
    await using _ = elsewhere
    await using folder = await makeFolder({
      'etc/proxy.yaml': `
listeners:
  - { name: ward, bind: "127.0.0.1:0", upstream: hospital, tls: { certificate: { cert: tls/leaf.pem, key: tls/leaf.key } } }
upstreams:
  hospital:
    servers: [mqtts://broker.example]
    tls:
      ca: [../ca.pem, "\${ELSEWHERE}/ca.pem"]
      clientCertificate: { cert: tls/leaf.pem, key: ./tls/leaf.key }
state: ../var
`,
      'etc/tls/leaf.pem': leaf.cert,
      'etc/tls/leaf.key': leaf.key,
      'ca.pem': pki.ca.cert,
    })
    const { config, files } = loadConfig('etc/proxy.yaml', { ELSEWHERE: elsewhere.path }, folder.path)
    const pair = { cert: join(folder.path, 'etc/tls/leaf.pem'), key: join(folder.path, 'etc/tls/leaf.key') }
    const cas = [join(folder.path, 'ca.pem'), join(elsewhere.path, 'ca.pem')]
    expect(config.listeners[0]?.tls.certificate).toEqual(pair)
    expect(config.upstreams['hospital']?.tls).toMatchObject({ ca: cas, clientCertificate: pair })
    expect(config.state).toBe(join(folder.path, 'var'))
    expect(files.toSorted()).toEqual([pair.cert, pair.key, ...cas].toSorted())
  })

  test('a byte order mark and Windows line ends are no mistake', async () => {
    await using folder = await makeFolder({ 'proxy.yaml': `\ufeff${shortest.replaceAll('\n', '\r\n')}` })
    expect(loadConfig('proxy.yaml', {}, folder.path).config.listeners).toHaveLength(1)
  })
})

describe('what cannot be used', () => {
  test.each([
    ['is not there', undefined, 'there is no such file'],
    ['is a directory', 'directory', 'this is a directory'],
    ['is not UTF-8', Buffer.from([0x6c, 0xff, 0xfe]), 'the file is not UTF-8 text'],
    ['is larger than 1 MiB', Buffer.alloc(1_048_577, '#'), 'the file is larger than 1 MiB'],
    ['is nested without end', `a: ${'['.repeat(20_000)}`, 'nested too deeply'],
    ['is a bomb', bomb(), 'too many aliases'],
  ])('a file that %s', async (_, content, message) => {
    await using folder = await makeFolder({})
    const path = join(folder.path, 'proxy.yaml')
    if (content === 'directory') await mkdir(path)
    else if (content !== undefined) await writeFile(path, content)
    expect(mistakes(folder.path)[0]).toMatchObject({ file: 'proxy.yaml', line: 1, message })
  })

  test.skipIf(process.getuid?.() === 0)('a file this user may not read', async () => {
    await using folder = await makeFolder({ 'proxy.yaml': shortest })
    await chmod(join(folder.path, 'proxy.yaml'), 0)
    expect(mistakes(folder.path)).toMatchObject([{ message: 'this user may not read the file' }])
  })

  test('the error says the first mistake, how many more there are, and carries them all', async () => {
    await using folder = await makeFolder({
      'proxy.yaml': `${shortest}log: { level: loud }\ndrain: { timeout: 5 }\nx: 1\n`,
    })
    const refusal = () => loadConfig('proxy.yaml', {}, folder.path)
    expect(refusal).toThrow(ConfigError)
    expect(refusal).toThrow(
      expect.objectContaining({
        code: 'config-invalid',
        blame: 'config',
        message:
          'proxy.yaml:2:15 log.level: expected one of debug, info, warn, error, got "loud" (and 2 more)',
        diagnostics: [
          expect.objectContaining({ line: 2, column: 15, path: 'log.level', severity: 'error' }),
          expect.objectContaining({ line: 3, column: 19, path: 'drain.timeout' }),
          expect.objectContaining({ line: 4, column: 1, path: 'x' }),
        ],
      }),
    )
  })

  test('of thousands of mistakes a hundred are told, errors before warnings', async () => {
    const idle = Array.from(
      { length: 200 },
      (_, index) => `  u${index}: { servers: [mqtts://broker.example] }\n`,
    )
    const keys = Array.from({ length: 5000 }, (_, index) => `unknown${index}: 1\n`)
    await using folder = await makeFolder({
      'proxy.yaml': `${shortest}upstreams:\n${idle.join('')}${keys.join('')}`,
    })
    const told = mistakes(folder.path)
    expect(told).toHaveLength(100)
    expect(told.every(({ severity }) => severity === 'error')).toBe(true)
  })

  test('whatever a text holds, it is loaded or refused as configuration, and no variable is shown', async () => {
    await using folder = await makeFolder({})
    const words = [
      [
        'listeners',
        'upstreams',
        'tls',
        'pins',
        'bind',
        'name',
        'ward',
        'embedded',
        '${SECRET}',
        '"${SECRET}"',
      ],
      [
        '\n',
        '\n  ',
        '\n  - ',
        ': ',
        '- ',
        '{',
        '}',
        '[',
        ']',
        ', ',
        '&a ',
        '*a',
        '<<',
        '!!int ',
        '|',
        '>',
        '#',
      ],
      ['1', '10s', 'true', '0.0.0.0:1883', 'mqtts://', '@', '\t', '\u0000', '%', '---', '? ', '"', "'"],
    ]
    const word = fc.constantFrom(...words.flat())
    const text = fc.array(word, { maxLength: 40 }).map((chosen) => chosen.join(''))
    await fc.assert(
      fc.asyncProperty(text, async (content) => {
        await writeFile(join(folder.path, 'proxy.yaml'), content)
        expect(JSON.stringify(mistakes(folder.path, { SECRET: 'hunter2' }))).not.toContain('hunter2')
      }),
    )
  })
})

function mistakes(directory: string, environment: Record<string, string> = {}) {
  try {
    return loadConfig('proxy.yaml', environment, directory).warnings
  } catch (thrown) {
    if (thrown instanceof ConfigError) return thrown.diagnostics
    throw thrown
  }
}

/** A new directory with these files, gone when disposed of. */
async function makeFolder(files: Readonly<Record<string, string>>) {
  const folder = await mkdtempDisposable(join(tmpdir(), 'pulseward-load-'))
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(folder.path, name, '..'), { recursive: true })
    await writeFile(join(folder.path, name), content)
  }
  return folder
}

function bomb(): string {
  const levels = Array.from(
    { length: 9 },
    (_, index) => `k${index + 1}: &k${index + 1} [${`*k${index}, `.repeat(9)}]\n`,
  )
  return `k0: &k0 [${'x, '.repeat(9)}]\n${levels.join('')}`
}
