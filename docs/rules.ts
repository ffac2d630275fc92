// The reference of all protocol rules as Markdown, made from the rule table; docs/rules.md is what it returns.

import { cvesOf } from '../src/mqtt/patches.ts'
import type { Rule } from '../src/mqtt/rule.ts'
import { cveLink } from './patches.ts'

export function renderRulesReference(rules: readonly Rule[]): string {
  const rows = rules.map((rule) => {
    const { v3, v5, policy } = rule.clause
    const cells = [
      `\`${rule.id}\``,
      directions[rule.direction],
      v3 ?? (policy === undefined ? '–' : `\`${policy}\``),
      v5 ?? (policy === undefined ? '–' : `\`${policy}\``),
      rule.fixed ? '**enforce**' : modeText(rule),
      `\`0x${rule.reason.toString(16)}\``,
      sentence(rule.explanation),
      hurt(rule),
    ]
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  })
  return [introduction(rules.length), heading, ...rows, ''].join('\n')
}

/** Under `standard`, and under `strict` where that differs. */
function modeText({ mode }: Rule): string {
  return mode.standard === mode.strict ? mode.standard : `${mode.standard}; ${mode.strict}`
}

const directions = { up: 'device', down: 'broker', both: 'either' } as const

const introduction = (count: number): string => `# Protocol rules

<!-- Generated from src/mqtt/rules.ts by "npm run docs"; edit that file instead. -->

Pulseward checks every MQTT packet of either side against these ${count} rules. A packet that breaks one that is enforced
is not forwarded; the device is told in the terms of its protocol version, both connections are closed, and the log line
and \`pulseward_rule_hits_total\` carry the id. One that is only reported goes on. How modes are set, and what is
remembered to judge by: [inspection.md](inspection.md).

- **Sender** is the side that may break the rule: the device, the broker, or either.
- **Clauses** are conformance statements (\`MQTT-3.1.2-1\`) or sections (\`2.2.3\`) of OASIS MQTT 3.1.1, which stands for
  MQTT 3.1 as well, and of MQTT 5.0; an option of proxy.yaml where the limit is yours; a dash where the version has no
  such rule.
- **Mode** is that of the preset \`standard\`, and behind a semicolon that of \`strict\` where it differs; in bold where
  the rule can only be enforced.
- **Code** is the reason code an MQTT 5.0 device is told.
- **Seen in** are products that were hurt, or would have been, by packets like it.
`

const heading = [
  '| Rule | Sender | MQTT 3.1.1 | MQTT 5.0 | Mode | Code | A packet breaks it when | Seen in |',
  '| --- | --- | --- | --- | --- | --- | --- | --- |',
].join('\n')

function sentence(text: string): string {
  return `${text[0]?.toUpperCase()}${text.slice(1)}.`
}

function hurt({ id }: Rule): string {
  return cvesOf(id).map(cveLink).join(', ')
}
