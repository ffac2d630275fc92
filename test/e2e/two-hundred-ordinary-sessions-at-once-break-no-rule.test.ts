// Two hundred clients of every version at once, each with a partner: every message arrives, and nobody breaks a rule.

import { expect, test } from 'vitest'
import { mosquittoTools } from '../help/mosquitto.ts'
import { JsClient, byTopic } from '../help/mqtt-js.ts'
import type { Level } from '../help/packets.ts'
import { describeWith } from '../help/tools.ts'
import { Ways } from '../help/ways.ts'

const levels: readonly Level[] = [3, 4, 5]
const each = 12

describeWith(mosquittoTools, 'a ward', () => {
  test('a hundred pairs, each of which talks both ways', async () => {
    await using ways = await Ways.open()
    const seen = await ways.agreeOn(async ({ port, run }) => {
      await using stack = new AsyncDisposableStack()
      const clients = await Promise.all(
        Array.from({ length: 200 }, (_, index) =>
          JsClient.join(port, levels[index % 3] ?? 4, {
            clientId: `${run}-${index}`,
            username: 'nurse',
            password: 'secret',
          }),
        ),
      )
      for (const one of clients) stack.use(one)
      await Promise.all(
        clients.map(({ client }, index) => client.subscribeAsync(`${run}/to/${index}/+`, { qos: 2 })),
      )
      await Promise.all(
        clients.flatMap(({ client }, index) =>
          Array.from({ length: each }, async (_, n) => {
            const qos = (n % 3) as 0 | 1 | 2
            await client.publishAsync(`${run}/to/${index ^ 1}/${qos}`, `${n} of ${index}`, { qos })
          }),
        ),
      )
      return await Promise.all(clients.map(async (one) => byTopic(await one.received(each))))
    })
    expect(seen.flatMap((topics) => Object.values(topics).flat())).toHaveLength(200 * each)
    expect(await ways.broken()).toEqual({ standard: [], strict: [] })
    for (const proxy of [ways.standard, ways.strict]) {
      expect(await proxy.metric('pulseward_connections_total', { result: 'accepted' })).toBe(200)
      await proxy.waitForMetric('pulseward_device_sessions', {}, 0)
    }
  })
})
