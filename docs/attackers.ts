// The attackers as Markdown, made from those the tests play; docs/attackers.md is what it returns.

import type { Attacker } from '../test/help/attackers.ts'

export function renderAttackers(attackers: readonly Attacker[]): string {
  const rows = attackers.map(({ does, verdict, causes, also = [] }) => {
    const why = [...causes.map(quoted), ...also.map((one) => `sometimes ${quoted(one)}`)].join(', ')
    const what = verdict === 'unreachable' ? 'none: not reached' : quoted(verdict)
    return `| ${[does, what, why, '0'].join(' | ')} |`
  })
  return [introduction(attackers.length), heading, ...rows, ''].join('\n')
}

const quoted = (text: string): string => `\`${text}\``

const introduction = (count: number): string => `# Attackers between proxy and broker

<!-- Generated from test/help/attackers.ts by "npm run docs"; edit that file instead. -->

\`npm test\` puts each of these ${count} attackers between the proxy and a Mosquitto with TLS, while a device publishes at QoS 1
and tries again, and then gives the way back to the broker. What has to come of it:

- the attacker gets 0 application bytes, counted where it reads them;
- metric, log and evidence say verdict and causes as below, with reasons and what to do next;
- devices are told, in MQTT 3.1, 3.1.1 and 5.0;
- everything goes on by itself once the attacker is gone, and no message that was acknowledged is lost.

Unless a row says otherwise, the upstream has a CA of its own, one pin, and TLS 1.3. Where the verdict is "not reached",
nothing tells the attacker from a broken broker: the cause is the \`reason\` of
\`pulseward_upstream_dial_failures_total\`, devices are told the same, and there is no evidence.
`

const heading = [
  '| an attacker that … | verdict | causes | application bytes it got |',
  '| --- | --- | --- | --- |',
].join('\n')
