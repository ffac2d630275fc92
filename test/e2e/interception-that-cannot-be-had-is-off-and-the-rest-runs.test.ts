// Without the capability, a listener that needs it says so once, in log and metric; devices that need nothing are served.

import { expect, test } from 'vitest'
import { Device } from '../help/device.ts'
import { findTool } from '../help/prerequisites.ts'
import { Proxy } from '../help/proxy.ts'

const setpriv = findTool('setpriv')
const isRoot = process.getuid?.() === 0
/** Root is made to do without; nobody else has it. */
const without = isRoot ? [setpriv ?? '', '--bounding-set=-net_admin,-net_raw'] : []

test.skipIf(isRoot && setpriv === undefined)('the features are off, and the proxy is not', async () => {
  const common = { upstream: 'embedded', accept: ['mqtt'] }
  const config = {
    listeners: [
      { ...common, name: 'ward', bind: '127.0.0.1:0', preserveSource: true },
      { ...common, name: 'theatre', bind: '127.0.0.1:0', mode: 'tproxy' },
      {
        ...common,
        name: 'wing',
        bind: '127.0.0.1:0',
        mode: 'redirect',
        otherDestinations: 'refuse',
        destinations: [{ to: '192.0.2.1:1883' }],
      },
    ],
    metrics: { bind: '127.0.0.1:0' },
    reload: { watch: false },
    drain: { timeout: '1s' },
  }
  await using proxy = await Proxy.start({ config, wrapper: without })
  for (const feature of ['tproxy', 'preserve-source']) {
    await proxy.line('a feature is off', { feature })
    expect(proxy.lines('a feature is off', { feature })).toHaveLength(1)
    expect(await proxy.metric('pulseward_feature_available', { feature })).toBe(0)
  }
  const redirect = await proxy.metric('pulseward_feature_available', { feature: 'redirect' })
  expect(redirect).toBe(process.platform === 'linux' ? 1 : 0)
  await using device = await Device.join(proxy.port)
  expect(device.socket.destroyed).toBe(false)
  // Nobody redirected this one: it fails closed.
  await using stray = await Device.connect(proxy.portOf('wing'))
  expect(await stray.everything()).toEqual(Buffer.alloc(0))
  const reason = process.platform === 'linux' ? 'destination-own' : 'destination-unknown'
  await proxy.waitForMetric('pulseward_rejections_total', { listener: 'wing', reason }, 1)
})
