// The virtual patches as Markdown, made from the list of them; docs/virtual-patches.md is what it returns.

import { classLimitOf, guards, weakest, type Patch } from '../src/mqtt/patch.ts'
import type { Mode, Rule } from '../src/mqtt/rule.ts'

export function renderPatches(patches: readonly Patch[]): string {
  const rows = patches.map((patch) => {
    const cells = [
      cveLink(patch.id),
      `${patch.product} ${patch.versions}`,
      senders[patch.direction],
      `${sentence(patch.packet)}${patch.gap === undefined ? '' : ` *${sentence(patch.gap)}*`}`,
      stops(patch),
      modeIn(patch, 'standard'),
      modeIn(patch, 'strict'),
      patch.confidence,
    ]
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  })
  return [introduction(patches), heading, ...rows, ''].join('\n')
}

export function cveLink(id: string): string {
  return `[${id}](https://www.cve.org/CVERecord?id=${id})`
}

const senders = { up: 'device', down: 'broker', both: 'either' } as const

function introduction(patches: readonly Patch[]): string {
  const count = (mode: Cell): number => patches.filter((patch) => modeIn(patch, 'standard') === mode).length
  const inferred = patches.filter(({ confidence }) => confidence === 'inferred').length
  const guarded = patches.filter(({ guard }) => guard !== undefined).length
  const classless = count('no class')
  return `# Virtual patches

<!-- Generated from src/mqtt/patches*.ts by "npm run docs"; edit those files instead. -->

A pump that is certified with its firmware keeps that firmware, and a broker in a hospital is not updated on the day a
hole in it is published. A virtual patch keeps the packet that uses the hole from reaching the side that has it. This is
a list of ${patches.length} published vulnerabilities of MQTT brokers, libraries and devices whose packet can be told on the wire,
and of the rule of Pulseward that stops each.

## What a virtual patch is, and what it is not

- It is a rule of the protocol, or a limit, that the packet in question breaks. Nothing here looks for a known exploit;
  a variant of it breaks the same rule. [rules.md](rules.md) has all rules with their clauses.
- It mends nothing. Whoever reaches the broker or the device past Pulseward finds the hole where it was. Update when you
  can; until then see to it that there is no other way.
- It is not proof that you are safe. Of ${inferred} vulnerabilities no packet was ever published: they are marked *inferred*, and
  the rule stops the packet that most likely goes with the function that was named. *From the fix* means that the change
  which mended it shows the packet, *published* that the CVE record or the advisory describes it.
- Where a part of a vulnerability gets through, the row says so in italics.
- Vulnerabilities that no single connection shows are not here: of configuration, access lists, TLS or HTTP, of the
  contents of messages, and those about which nothing was published but their number.

## How they are switched on

In the preset \`standard\`, ${count('enforce')} of them are enforced, ${count('report')} only reported, because sound devices may look like that, and
${count('off')} off, because they are a question of house rules. ${classless} wait for a class: the rules \`topic-bytes\` and
\`received-bytes\` know nothing of the buffers of your devices until \`classes\` says how large they are. ${guarded} need no rule:

${Object.entries(guards)
  .map(([name, what]) => `- \`${name}\`: ${what}.`)
  .join('\n')}

A rule is enforced, reported or off by its name, for the whole file or for one listener. Where a row names several
rules, each stops a form of the packet, and the columns have the weakest of their modes:

\`\`\`yaml
inspection:
  rules:
    identity-wildcard: enforce # CVE-2017-7650
    shared-and-plain: enforce # CVE-2024-8376, CVE-2025-59947
classes:
  - name: contiki-sensors # CVE-2018-19417, CVE-2026-5857
    clientIds: ['sensor-*']
    maxTopic: 64B
\`\`\`

\`pulseward patches\` lists all of this as your proxy.yaml has it. The CVE ids that log lines and findings about a broken
rule refer to are those of this list.

Each row with a rule has test vectors in \`test/vectors/cve/\`: a packet that the rule refuses, and one nearly like it that
passes. They were written for Pulseward from the descriptions; none is a copy of an exploit.

## All of them
`
}

const heading = [
  '| CVE | Product | Sender | The packet | Stopped by | `standard` | `strict` | Known from |',
  '| --- | --- | --- | --- | --- | --- | --- | --- |',
].join('\n')

function stops({ rules, guard }: Patch): string {
  return guard === undefined ? rules.map(({ id }) => `\`${id}\``).join(', ') : `guard \`${guard}\``
}

type Cell = Mode | 'always' | 'no class'

function modeIn({ rules, guard }: Patch, preset: keyof Rule['mode']): Cell {
  if (guard !== undefined) return 'always'
  if (rules.some((rule) => classLimitOf(rule) !== undefined)) return 'no class'
  return weakest(rules.map(({ mode }) => mode[preset]))
}

function sentence(text: string): string {
  return `${text[0]?.toUpperCase()}${text.slice(1)}.`
}
