// More devices than descriptors: who was there is served on, the rest is turned away, no CPU is burnt, nobody dies.

import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Device } from '../help/device.ts'
import { connectPacket, publishPacket } from '../help/packets.ts'
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
    const { proxy, broker } = stage
    expect(await proxy.metric('process_max_fds')).toBe(descriptors)
    {
      await using stack = new AsyncDisposableStack()
      const served = new Map<string, Device>()
      for (const clientId of ['one', 'two', 'three', 'four', 'five']) {
        served.set(clientId, stack.use(await Device.join(proxy.port, { clientId })))
      }
      const crowd = Array.from({ length: 200 }, async () => {
        const device = stack.use(await Device.connect(proxy.port))
        device.socket.write(connectPacket({ version: 4 }))
        return device
      })
      const settled = await Promise.allSettled(crowd)
      const came = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
      await eventually('an answer or an end for every device', () =>
        came.every((device) => device.ended || device.received.length >= 4),
      )
      const before = await cpuSeconds(proxy.pid)
      const until = performance.now() + 1500
      await eventually('the time to measure in', () => performance.now() > until)
      expect((await cpuSeconds(proxy.pid)) - before).toBeLessThan(0.5)

      for (const [clientId, device] of served) {
        const reading = publishPacket({ version: 4, topic: 'pulse', payload: 'still here' })
        await device.send(reading)
        await (await broker.visitOf(clientId)).holds(reading)
      }
    }
    await eventually('room', async () => {
      // Without a descriptor left, /metrics does not answer either.
      const open = await proxy.metric('pulseward_connections').catch(() => Number.NaN)
      return open === 0
    })
    const metrics = await proxy.metrics()
    const turnedAway = { listener: 'ward', result: 'accept-error' }
    expect(metrics.value('pulseward_connections_total', turnedAway)).toBeGreaterThan(0)
    // Whoever was taken in could be dialled for.
    expect(metrics.value('pulseward_upstream_dial_failures_total', { reason: 'emfile' })).toBe(0)
    await proxy.waitForReady(200)
    await using again = await Device.join(proxy.port, { clientId: 'again' })
    expect(again.ended).toBe(false)
  })
})

async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1')
  // Behind the name, which may hold anything: utime and stime are fields 14 and 15 (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}
