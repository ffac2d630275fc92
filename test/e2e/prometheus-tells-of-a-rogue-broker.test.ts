// A real Prometheus with our rules: quiet while all is well, and firing when somebody else answers for the broker.

import { expect, test } from 'vitest'
import { sections } from '../../docs/dashboard-panels.ts'
import { TestBroker } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { connectPacket } from '../help/packets.ts'
import { makePki } from '../help/pki.ts'
import { Prometheus } from '../help/prometheus.ts'
import { Proxy, ward } from '../help/proxy.ts'
import { describeWith } from '../help/tools.ts'
import { eventually } from '../help/wait.ts'

/** What stays empty here: no pin has an end, nothing was lost, found or broken, and no broker was out of reach. */
const unfed = /pin_not_after|failures_total\{instance|lines_dropped|findings_total|rule_hits|dial_failures/

/** A query as Grafana would send it. */
function filledIn(expr: string): string {
  return expr.replaceAll('$__rate_interval', '5s').replaceAll('$__range', '1m').replaceAll(/\$\w+/g, '.*')
}

describeWith(['prometheus'], 'Prometheus', () => {
  test('fires within seconds of the first handshake of a man in the middle, and not before', async () => {
    const pki = await makePki()
    const [genuine, forged] = await Promise.all([pki.issue(), pki.issue({ ca: await pki.rogue() })])
    const broker = await TestBroker.start({ cert: genuine.chain, key: genuine.key })
    const config = ward({ brokers: [broker.port], timeouts: { distrust: '0s' } })
    await using proxy = await Proxy.start({ config, files: { 'ca.pem': pki.ca.cert } })
    await proxy.waitForReady(200)
    await using prometheus = await Prometheus.start(proxy.admin)
    const trusted = 'pulseward_upstream_trusted{upstream="hospital"}'
    expect(await prometheus.query(trusted)).toMatchObject([{ value: [expect.any(Number), '1'] }])
    // Before the first scrape there was no Pulseward: pending, and soon over.
    const early = (await prometheus.alerts()).filter(({ state }) => state === 'firing')
    expect(early).toEqual([])

    await broker[Symbol.asyncDispose]()
    const { port } = broker
    await using rogue = await TestBroker.start({ cert: forged.chain, key: forged.key, port })
    await using device = await Device.connect(proxy.port)
    await device.send(connectPacket({ version: 4, clientId: 'pump-7' }))
    await device.everything()

    const name = 'PulsewardBrokerManInTheMiddle'
    await eventually('the alert', async () =>
      (await prometheus.alerts()).some(
        ({ labels, state }) => labels['alertname'] === name && state === 'firing',
      ),
    )
    const firing = (await prometheus.alerts()).find(({ labels }) => labels['alertname'] === name)
    expect(firing).toMatchObject({
      labels: { severity: 'critical', upstream: 'hospital', cause: 'untrusted-chain' },
      annotations: { runbook: 'docs/runbooks.md#pulsewardbrokermaninthemiddle' },
    })
    expect(rogue.applicationBytes).toBe(0)

    // And the dashboard shows it: Prometheus takes each of its queries, and what happened here is in them.
    for (const expr of sections.flatMap(({ panels }) =>
      panels.flatMap(({ queries }) => queries.map((one) => one.expr)),
    )) {
      const ask = async () => (await prometheus.query(filledIn(expr))).length > 0
      if (unfed.test(expr)) await ask()
      else await eventually(expr, ask)
    }
  })
})
