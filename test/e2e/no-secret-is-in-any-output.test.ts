// Passwords, payloads and private keys are in no log line, no metric and no message, whatever happens around them.

import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { acceptAll, TestBroker, type Visit } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { bytes, connectPacket, field, packet, publishPacket, type Level } from '../help/packets.ts'
import { makePki } from '../help/pki.ts'
import { Proxy, ward } from '../help/proxy.ts'

const canaries = {
  password: 'canary-password-4711',
  will: 'canary-will-0815',
  payload: 'canary-payload-1234',
  answer: 'canary-answer-5678',
  header: 'canary-header-9999',
  variable: 'canary-variable-2468',
}

test('accepted, refused, broken off, and with every line of the log', async () => {
  const pki = await makePki()
  const [genuine, shown, client] = [await pki.issue(), await pki.issue(), await pki.issue()]
  const serve = async (visit: Visit): Promise<void> => {
    await acceptAll(visit)
    const malformed = visit.received.includes('bad-broker')
    const topic = malformed ? 'answer/#' : 'answer'
    const version = visit.received[visit.received.readUInt16BE(2) + 4] as Level
    await visit.send(publishPacket({ version, topic, payload: canaries.answer }))
    if (visit.received.includes('broken-off')) visit.socket.destroy()
  }
  await using broker = await TestBroker.start({ cert: genuine.chain, key: genuine.key, serve })
  const listener = {
    accept: ['mqtt', 'mqtts'],
    tls: { certificate: { cert: 'shown.pem', key: 'shown.key' } },
  }
  const config = ward({
    brokers: [broker.port],
    listener,
    tls: { clientCertificate: { cert: 'client.pem', key: 'client.key' } },
    more: { log: { level: 'debug' } },
  })
  const files = {
    'ca.pem': pki.ca.cert,
    'shown.pem': shown.chain,
    'shown.key': shown.key,
    'client.pem': client.chain,
    'client.key': client.key,
  }
  const env = { CANARY: canaries.variable }
  await using proxy = await Proxy.start({ config, files, env })
  const seen: string[] = []

  for (const version of [3, 4, 5] as const) {
    for (const clientId of ['good', 'bad-topic', 'bad-broker', 'broken-off']) {
      for (const tls of [false, true]) {
        await using device = tls
          ? await Device.connectTls(proxy.port, { ca: pki.ca.cert })
          : await Device.connect(proxy.port)
        await device.send(connectWithSecrets(version, clientId))
        await device.bytes(4)
        const topic = clientId === 'bad-topic' ? 'ward/+' : 'ward/1'
        await device.send(publishPacket({ version, topic, payload: canaries.payload })).catch(() => {})
        if (clientId === 'good') device.end(packet(0xe0))
        await device.everything()
      }
    }
    const hello = connectWithSecrets(version, 'spoilt')
    const broken = Buffer.from(hello)
    // The will's QoS becomes 3, in a CONNECT that carries everything secret.
    broken[hello.indexOf('MQ') + (version === 3 ? 6 : 4) + 1]! |= 0x18
    for (const bad of [
      broken,
      bytes(hello, hello),
      bytes(hello, packet(0x30, field('a\0'), canaries.payload)),
    ]) {
      await using device = await Device.connect(proxy.port)
      await device.send(bad)
      await device.everything()
    }
  }
  await using web = await Device.connect(proxy.port)
  await web.send(
    Buffer.from(`GET /${canaries.header} HTTP/1.1\r\nAuthorization: Basic ${canaries.header}\r\n\r\n`),
  )
  await web.everything()

  await proxy.rewrite(
    JSON.stringify(config).replace('"127.0.0.1:0"', '"${CANARY}"').replace('"client.key"', '"shown.key"'),
  )
  expect((await proxy.reload()).msg).toContain('not reloaded')
  await proxy.rewrite(JSON.stringify(config).replace('"client.key"', '"shown.key"'))
  expect((await proxy.reload()).msg).toContain('not reloaded')
  seen.push((await proxy.metrics()).text, JSON.stringify(await proxy.readiness()))
  expect(await proxy.stop()).toBe(0)
  seen.push(proxy.output)

  const keys = [genuine.key, shown.key, client.key, pki.ca.key]
  expectNoneIn(seen.join('\n'), keys)
  expect(proxy.lines('session opened').length).toBeGreaterThan(20)
  expect(proxy.lines('session refused').length).toBeGreaterThan(5)
})

test('a start that fails', async () => {
  const pki = await makePki()
  const other = await pki.issue()
  const base = { 'ca.pem': pki.ca.cert, 'own.pem': (await pki.issue()).chain }
  const files = [
    { ...base, 'own.key': other.key },
    { ...base, 'own.key': `${other.key.slice(0, 120)}!${other.key.slice(120)}` },
    { ...base, 'own.key': other.cert, 'own.pem': other.key },
    { ...base, 'ca.pem': other.key, 'own.key': other.key },
  ]
  for (const some of files) {
    const tls = { clientCertificate: { cert: 'own.pem', key: 'own.key' }, serverName: '${CANARY}!' }
    await using proxy = (
      await Proxy.launch({
        config: ward({ brokers: [1], tls }),
        files: some,
        env: { CANARY: canaries.variable },
      })
    ).mayFail()
    expect((await proxy.ended).code).toBe(1)
    expect(proxy.output).toContain('proxy.yaml:')
    expectNoneIn(proxy.output, [other.key])
  }
})

test('the key of the local authority', async () => {
  const pki = await makePki()
  await using proxy = await Proxy.start({
    config: ward({ brokers: [1], listener: { accept: ['mqtts'] }, more: { log: { level: 'debug' } } }),
    files: { 'ca.pem': pki.ca.cert },
  })
  const key = await readFile(proxy.folder.at('state/pki/ca.key'), 'utf8')
  expect(key).toContain('PRIVATE KEY')
  expectNoneIn(proxy.output + (await proxy.metrics()).text, [key])
})

function connectWithSecrets(version: Level, clientId: string): Buffer {
  return connectPacket({
    version,
    clientId,
    will: { topic: 'will', payload: Buffer.from(canaries.will), qos: 1, retain: false },
    username: 'nurse',
    password: Buffer.from(canaries.password),
  })
}

/** Neither as they are nor in the encodings a dump might have. */
function expectNoneIn(output: string, keys: readonly string[]): void {
  const lines = keys.flatMap((key) =>
    key.split('\n').filter((line) => line.length > 30 && !line.startsWith('-')),
  )
  expect(lines.length).toBeGreaterThan(0)
  for (const secret of [...Object.values(canaries), ...lines]) {
    const plain = Buffer.from(secret)
    // The middle of the base64 of a text is the same wherever in a dump it stands, for one of three offsets.
    const dumps = [0, 1, 2].map((offset) => plain.subarray(offset).toString('base64').slice(0, 16))
    for (const form of [secret, plain.toString('hex'), ...dumps]) expect(output).not.toContain(form)
  }
}
