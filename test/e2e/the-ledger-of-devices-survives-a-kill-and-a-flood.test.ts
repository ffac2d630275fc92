// The ledger as a whole: what it notices without a network of its own, a flood of invented devices, and a killed proxy.

import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { Child } from '../help/child.ts'
import { Device } from '../help/device.ts'
import { setStage, type Stage } from '../help/stage.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const suspicion = 'somebody may be between a device and the proxy, or in the place of the device'

/** A session of its own, from CONNECT to the end. */
async function visit({ proxy }: Stage, clientId: string, password = 'first', keepAlive = 60): Promise<void> {
  const login = { username: 'ward', password: Buffer.from(password) }
  await using device = await Device.join(proxy.port, { clientId, keepAlive, ...login })
  await device.send(Buffer.from([0xe0, 0]))
  await device.everything()
}

async function list({ proxy }: Stage): Promise<string> {
  await using child = new Child(process.execPath, [
    main,
    'devices',
    'list',
    '-c',
    proxy.folder.at('proxy.yaml'),
  ])
  return (await child.succeeds()).toString()
}

test('another login is noticed, with neither login in any output', async () => {
  await using stage = await setStage({ more: { identity: { mode: 'report', learn: '0s' } } })
  const { proxy } = stage
  await visit(stage, 'pump-7')
  await visit(stage, 'pump-7')
  expect(proxy.lines(suspicion)).toEqual([])
  await visit(stage, 'pump-7', 'second-s3cret')
  const line = await proxy.line(suspicion, { clientId: 'pump-7' })
  expect(line).toMatchObject({ severity: 'notice', level: 'info', evidence: { stage: 'noticed' } })
  expect(line['evidence']).toHaveProperty(
    'login-changed',
    expect.stringMatching(/^\w{4}:\w{16} -> \w{4}:\w{16}: /),
  )
  expect(proxy.output).not.toContain('s3cret')
  expect(await proxy.metric('pulseward_devices', { standing: 'suspected' })).toBe(1)
})

test('while a listener learns nothing is suspected; and where identity is off nothing is kept', async () => {
  const off = {
    name: 'off',
    bind: '127.0.0.1:0',
    accept: ['mqtt'],
    upstream: 'hospital',
    identity: { mode: 'off' },
  }
  await using stage = await setStage({ more: { identity: { mode: 'report', learn: '1h' } } })
  const { proxy, broker } = stage
  await visit(stage, 'pump-7')
  await visit(stage, 'pump-7', 'second')
  await proxy.line('a device changed while it is still being learnt', { clientId: 'pump-7' })
  expect(proxy.lines(suspicion)).toEqual([])
  expect(broker.visits.length).toBeGreaterThan(1)
  await using silent = await setStage({ listener: off, more: { identity: { mode: 'report', learn: '0s' } } })
  await using _ = await Device.join(silent.proxy.portOf('off'), { clientId: 'pump-8' })
  await silent.proxy.line('session opened', { clientId: 'pump-8' })
  expect(await silent.proxy.metric('pulseward_devices_limit')).toBe(0)
})

test('invented devices push out each other; a killed proxy leaves a sound ledger', async () => {
  await using stage = await setStage({ more: { identity: { mode: 'report', learn: '0s', maxDevices: 20 } } })
  const { proxy } = stage
  await visit(stage, 'pump-7')
  await visit(stage, 'pump-7')
  for (let one = 0; one < 60; one += 1) await visit(stage, `invented-${one}`)
  const found = await proxy.metrics()
  expect(found.value('pulseward_devices', { standing: 'new' })).toBe(19)
  expect(found.value('pulseward_devices', { standing: 'known' })).toBe(1)
  await proxy.waitForMetric('pulseward_ledger_waiting', {}, 0)
  await proxy.mayFail().stop('SIGKILL')
  const table = await list(stage)
  expect(table.trimEnd().split('\n')).toHaveLength(21)
  expect(table).toMatch(/known +hospital +pump-7 /)
  expect(table).toContain('invented-59')
  expect(table).not.toContain('invented-0 ')
})
