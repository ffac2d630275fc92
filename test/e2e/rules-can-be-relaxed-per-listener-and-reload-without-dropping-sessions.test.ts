// A rule that a device in use breaks is relaxed where that device connects: its packets go on as they are, and are told of.

import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { Child } from '../help/child.ts'
import { Device } from '../help/device.ts'
import { Folder } from '../help/folder.ts'
import { bytes, field, packet, publishPacket, uint16, type Level } from '../help/packets.ts'
import { ward, type Proxy, type WardOptions } from '../help/proxy.ts'
import { setStage, type Stage } from '../help/stage.ts'

/** A message to a topic with a wildcard, which no client may publish to. */
const wild = (version: Level): Buffer => publishPacket({ version, topic: 'ward/#', payload: 'as ever' })

const id = 'topic-wildcard'
const explanation = 'a topic name (of a message, a will or a response) contains + or #'
const reported = { rule: id, direction: 'up', action: 'forward' }
const refused = { rule: id, direction: 'up', action: 'refuse' }

test('report: the packet goes on unchanged, is told of once a session and counted every time', async () => {
  await using stage = await setStage({ listener: { inspection: { rules: { [id]: 'report' } } } })
  const { proxy } = stage
  for (const [index, version] of ([3, 4, 5] as const).entries()) {
    const clientId = `old-${version}`
    await using device = await Device.join(proxy.port, { version, clientId })
    await expectPassage(stage, device, clientId, bytes(wild(version), wild(version), wild(version)))
    expect(await proxy.metric('pulseward_rule_hits_total', reported)).toBe(3 * (index + 1))
    await proxy.line(explanation, { clientId })
    const notices = proxy.lines(explanation, { clientId })
    expect(notices).toHaveLength(1)
    expect(notices[0]).toMatchObject({
      listener: 'ward',
      detector: 'protocol',
      severity: 'notice',
      action: 'forward',
      evidence: { rule: id, direction: 'up' },
      references: ['R9', 'CVE-2024-3935'],
    })
  }
  expect(await proxy.metric('pulseward_rule_hits_total', { action: 'refuse' })).toBe(0)
  expect(proxy.lines('session refused')).toEqual([])
})

test('off: the packet goes on, and nobody is told', async () => {
  await using stage = await setStage({ listener: { inspection: { rules: { [id]: 'off' } } } })
  const { proxy } = stage
  await using device = await Device.join(proxy.port, { version: 4, clientId: 'old' })
  await expectPassage(stage, device, 'old', wild(4))
  expect(
    (await proxy.metrics()).series('pulseward_rule_hits_total').filter(({ value }) => value > 0),
  ).toEqual([])
  expect(proxy.output).not.toContain(id)
})

test('each listener has its own: one relaxed, one as the file says', async () => {
  await using stage = await setStage({ more: twoListeners('new') })
  const { proxy } = stage
  await using old = await Device.join(proxy.port, { version: 5, clientId: 'old' })
  await using young = await Device.join(proxy.portOf('new'), { version: 5, clientId: 'young' })
  await young.send(wild(5))
  expect((await young.everything()).subarray(-4).toString('hex')).toBe('e0029000')
  await expectPassage(stage, old, 'old', wild(5))
  expect(await proxy.metric('pulseward_rule_hits_total', refused)).toBe(1)
  expect(await proxy.metric('pulseward_rule_hits_total', reported)).toBe(1)
})

test('observe: what can be let pass is, on both sides, and what cannot still ends the session', async () => {
  await using stage = await setStage({ more: { inspection: { preset: 'observe' } } })
  const { proxy, broker } = stage
  await using device = await Device.join(proxy.port, { version: 4, clientId: 'old' })
  // Also a SUBSCRIBE whose reserved flags are wrong, and a string that is no UTF-8.
  const flags = packet(0x80, uint16(7), field('ward/x'), 1)
  const latin1 = packet(0x30, field(Buffer.from('caf\xe9', 'latin1')), 'x')
  await expectPassage(stage, device, 'old', bytes(wild(4), flags, latin1))
  const visit = await broker.visitOf('old')
  const answer = packet(0x90, uint16(7), 0x83)
  await visit.send(answer)
  await device.holds(answer)
  const hits = (await proxy.metrics()).series('pulseward_rule_hits_total').filter(({ value }) => value > 0)
  expect(hits.map(({ labels }) => Object.values(labels).toSorted().join(' ')).toSorted()).toEqual([
    'down forward reason-code',
    'forward reserved-flags up',
    'forward topic-wildcard up',
    'forward up utf8-invalid',
  ])
  await device.send(packet(0x36, field('ward/x'), uint16(1)))
  expect(await device.everything()).toEqual(device.received)
  await proxy.line('session refused', { clientId: 'old', reason: 'publish-qos' })
})

test('a reload changes what new sessions may do, and ends none', async () => {
  await using stage = await setStage()
  const { proxy, broker } = stage
  const inspected = async (rules: Readonly<Record<string, string>>): Promise<void> => {
    await proxy.rewrite(ward({ brokers: [broker.port], more: { inspection: { rules } } }))
    expect((await proxy.reload()).msg).toBe('configuration reloaded')
  }
  const before = await Device.join(proxy.port, { version: 5, clientId: 'before' })
  await using _ = before
  await expectRefusal(proxy, 'first')
  await inspected({ [id]: 'report' })
  await using relaxed = await Device.join(proxy.port, { version: 5, clientId: 'relaxed' })
  await expectPassage(stage, relaxed, 'relaxed', wild(5))
  await inspected({})
  await expectRefusal(proxy, 'last')
  // A session keeps what was in force when it began.
  await expectPassage(stage, relaxed, 'relaxed', wild(5))
  await expectPassage(
    stage,
    before,
    'before',
    publishPacket({ version: 5, topic: 'ward/x', payload: 'fine' }),
  )
  expect([before.ended, relaxed.ended]).toEqual([false, false])
  await before.send(wild(5))
  expect((await before.everything()).subarray(-4).toString('hex')).toBe('e0029000')
})

test('a rule that can only be enforced cannot be relaxed: check and reload say so', async () => {
  const listener = { inspection: { rules: { 'field-past-end': 'report' } } }
  const config = ward({ brokers: [1], ca: 'ca.pem', listener })
  await using stage = await setStage()
  const { proxy, ca } = stage
  const wrong = 'listeners[0].inspection.rules.field-past-end: expected enforce, got "report"'
  await using folder = await Folder.make({ 'proxy.yaml': JSON.stringify(config, undefined, 2), 'ca.pem': ca })
  const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
  await using check = new Child(process.execPath, [main, 'check', '-c', folder.at('proxy.yaml')])
  expect((await check.ended).code).toBe(1)
  expect(check.stderr).toContain(wrong)
  expect(check.stderr).toContain('hint: this rule can only be enforced')

  await using device = await Device.join(proxy.port, { clientId: 'unharmed' })
  await proxy.rewrite(ward({ brokers: [stage.broker.port], listener }))
  const line = await proxy.reload()
  expect(line.msg).toBe('configuration not reloaded; the one before stays in force')
  expect(String(line['diagnostics'])).toContain(wrong)
  await expectPassage(stage, device, 'unharmed', publishPacket({ version: 4, topic: 'ward/x' }))
})

/** A listener beside "ward", which is relaxed; this one does what the file says of all. */
function twoListeners(name: string): NonNullable<WardOptions['more']> {
  const { listeners } = ward({ brokers: [] }) as { listeners: object[] }
  const [first] = listeners
  return {
    listeners: [
      { ...first, inspection: { rules: { [id]: 'report' } } },
      { ...first, name },
    ],
  }
}

/** The broker receives these bytes of a session, as they are. */
async function expectPassage(
  { broker }: Stage,
  device: Device,
  clientId: string,
  sent: Buffer,
): Promise<void> {
  const visit = await broker.visitOf(clientId)
  const { length } = visit.received
  await device.send(sent)
  expect((await visit.bytes(length + sent.length)).subarray(length)).toEqual(sent)
}

async function expectRefusal(proxy: Proxy, clientId: string): Promise<void> {
  await using device = await Device.join(proxy.port, { version: 5, clientId })
  await device.send(wild(5))
  expect((await device.everything()).subarray(-4).toString('hex')).toBe('e0029000')
  await proxy.line('session refused', { clientId, reason: id })
}
