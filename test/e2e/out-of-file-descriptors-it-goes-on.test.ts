// More devices than descriptors: those that fit are served, the rest turned away and counted, no CPU burnt, nobody dies.

import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Device } from '../help/device.ts'
import { connectPacket } from '../help/packets.ts'
import { setStage } from '../help/stage.ts'
import { describeWith, tool } from '../help/tools.ts'
import { eventually } from '../help/wait.ts'

const descriptors = 64
/** Of Linux' clock in /proc, for every architecture of today. */
const ticksPerSecond = 100

describeWith(['prlimit'], 'with few descriptors', () => {
  test('200 devices at once', async () => {
    const wrapper = [tool('prlimit'), `--nofile=${descriptors}`, '--']
    await using stage = await setStage({ wrapper })
    const { proxy } = stage
    expect(await proxy.metric('process_max_fds')).toBe(descriptors)
    {
      await using stack = new AsyncDisposableStack()
      const devices = await Promise.all(
        Array.from({ length: 200 }, async () => {
          const device = await Device.connect(proxy.port).catch(() => undefined)
          if (device === undefined) return undefined
          stack.use(device)
          device.socket.write(connectPacket({ version: 4 }))
          return device
        }),
      )
      // Every device is either welcomed or turned away.
      await eventually('an end for every device', () =>
        devices.every((device) => device === undefined || device.closed || device.received.length >= 4),
      )
      const welcomed = devices.filter((device) => device?.received.toString('hex') === '20020000')
      expect(welcomed.length).toBeGreaterThan(5)
      expect(welcomed.length).toBeLessThan(descriptors / 2)
      const before = await cpuSeconds(proxy.pid)
      const until = performance.now() + 1500
      await eventually('the time to measure in', () => performance.now() > until)
      expect((await cpuSeconds(proxy.pid)) - before).toBeLessThan(0.5)
    }
    // With descriptors left, /metrics answers again, and so does the port.
    await eventually('room', async () => {
      const open = await proxy.metric('pulseward_connections').catch(() => Number.NaN)
      return open === 0
    })
    const metrics = await proxy.metrics()
    const unaccepted = metrics.value('pulseward_connections_total', { result: 'accept-error' })
    const undialled = metrics.value('pulseward_upstream_dial_failures_total', { reason: 'emfile' })
    expect(unaccepted + undialled).toBeGreaterThan(0)
    console.log({ unaccepted, undialled })
    expect(unaccepted).toBeGreaterThan(0)
    await using again = await Device.join(proxy.port)
    expect(again.closed).toBe(false)
  })
})

async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1')
  // Behind the name, which may hold anything: utime and stime are fields 14 and 15 (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}
