// What `pulseward patches` prints: a table for people, and one document for programs.
import { vectorOf } from '../mqtt/patch.ts'
import type { Patch } from '../mqtt/patch.ts'
import type { Mode } from '../mqtt/rule.ts'
import { printable } from '../printable.ts'
import { aligned } from './columns.ts'

/** What becomes of a vulnerability on a listener; `no class`: its rule has nothing to measure by. */
export type State = Mode | 'always' | 'no class'

export interface Column {
  readonly listener: string
  /** One for each patch, in their order. */
  readonly states: readonly State[]
}

interface Summary {
  readonly enforced: number
  readonly reported: number
  readonly off: number
}

/** `file` is undefined where there is none, and `columns` has the defaults. */
export function patchesText(
  patches: readonly Patch[],
  columns: readonly Column[],
  file: string | undefined,
): string {
  const groups = grouped(columns)
  const isOne = groups.length === 1
  const head = [
    'CVE',
    'PRODUCT',
    'RULE',
    ...groups.map(({ listener }) => (isOne ? 'MODE' : listener)),
    'VECTOR',
  ]
  const rows = patches.map((patch, index) => [
    patch.id,
    patch.product,
    patch.guard === undefined ? patch.rules.map(({ id }) => id).join(', ') : `guard: ${patch.guard}`,
    ...groups.map(({ states }) => states[index] ?? ''),
    vectorOf(patch) ?? '-',
  ])
  const where = file ?? 'no proxy.yaml, so the preset "standard"'
  const sums = groups.map(({ listener, states }) => {
    const { enforced, reported, off } = summarise(states)
    const name = isOne ? where : `${where}: ${listener}`
    return printable(`${name}: ${enforced} enforced, ${reported} reported, ${off} off`, 1024)
  })
  return [...aligned([head, ...rows]), '', ...sums, ...hints(groups), ''].join('\n')
}

export function patchesJson(
  patches: readonly Patch[],
  columns: readonly Column[],
  file: string | undefined,
): string {
  const document = {
    file: file ?? null,
    patches: patches.map((patch, index) => ({
      ...patch,
      rules: patch.rules.map(({ id }) => id),
      vector: vectorOf(patch),
      modes: Object.fromEntries(columns.map(({ listener, states }) => [listener, states[index]])),
    })),
    summary: Object.fromEntries(columns.map(({ listener, states }) => [listener, summarise(states)])),
  }
  return `${JSON.stringify(document)}\n`
}

/** Listeners on which all is the same share a column. */
function grouped(columns: readonly Column[]): Column[] {
  const groups = Map.groupBy(columns, ({ states }) => states.join())
  return [...groups.values()].map((alike) => ({
    listener: alike.map(({ listener }) => listener).join(', '),
    states: alike[0]?.states ?? [],
  }))
}

function summarise(states: readonly State[]): Summary {
  const count = (...some: readonly State[]): number => states.filter((state) => some.includes(state)).length
  return { enforced: count('enforce', 'always'), reported: count('report'), off: count('off', 'no class') }
}

function hints(columns: readonly Column[]): string[] {
  const all = new Set(columns.flatMap(({ states }) => states))
  const lines: string[] = []
  if (all.has('report') || all.has('off')) {
    lines.push('hint: to enforce one, "inspection: { rules: { RULE: enforce } }" in proxy.yaml')
  }
  if (all.has('no class')) {
    lines.push('hint: for those with no class, say under "classes" in proxy.yaml what such devices can take')
  }
  return lines
}
