import { describe, expect, test } from 'vitest'
import type { Io } from '../../src/cli/io.ts'
import { UsageError } from '../../src/cli/io.ts'
import { patchesText, type State } from '../../src/cli/patches-report.ts'
import { patches, patchesHelp } from '../../src/cli/patches.ts'
import { ConfigError } from '../../src/config/diagnostics.ts'
import { patches as allPatches } from '../../src/mqtt/patches.ts'
import { Folder } from '../help/folder.ts'

const listener = 'name: ward, bind: "127.0.0.1:1883", upstream: embedded'
const plain = `listeners: [{ ${listener} }]\n`
const strict = `${plain}inspection: { preset: strict }\n`
const several = `
listeners:
  - { ${listener} }
  - { name: icu, bind: "127.0.0.1:1884", upstream: embedded, inspection: { rules: { identity-wildcard: enforce } } }
  - { name: lab, bind: "127.0.0.1:1885", upstream: embedded }
`
const classed = (limit: string): string =>
  `${plain}classes: [{ name: sensor, clientIds: ["s-*"], ${limit} }]\n`

describe('pulseward patches', () => {
  test('without a proxy.yaml: every CVE in order, in aligned columns, with what the preset standard does', async () => {
    const { stdout, stderr, status } = await run({})
    expect(status).toBe(0)
    expect(stderr).toBe('')
    const [head = '', ...lines] = stdout.split('\n')
    const rows = lines.slice(0, lines.indexOf(''))
    expect(rows.map((row) => row.split(' ')[0])).toEqual(allPatches.map(({ id }) => id))
    expect(head).toMatch(/^CVE +PRODUCT +RULE +MODE +VECTOR$/)
    const starts = ['PRODUCT', 'RULE', 'MODE', 'VECTOR'].map((title) => head.indexOf(title))
    for (const row of rows) {
      for (const start of starts) expect(row.slice(start - 2, start + 1)).toMatch(/^ {2}\S$/)
      expect(row).not.toMatch(/ $/)
    }
    expect(cells(stdout, 'CVE-2017-7653')).toEqual([
      'Mosquitto',
      'utf8-invalid',
      'enforce',
      'cve/CVE-2017-7653.txt',
    ])
    expect(cells(stdout, 'CVE-2017-7650')).toEqual([
      'Mosquitto',
      'identity-wildcard',
      'report',
      'cve/CVE-2017-7650.txt',
    ])
    expect(cells(stdout, 'CVE-2016-9877')).toEqual([
      'RabbitMQ',
      'credentials-missing',
      'off',
      'cve/CVE-2016-9877.txt',
    ])
    expect(cells(stdout, 'CVE-2023-5632')).toEqual(['Mosquitto', 'guard: connect-timeout', 'always', '-'])
    expect(cells(stdout, 'CVE-2018-19417')).toEqual([
      'Contiki-NG',
      'topic-bytes',
      'no class',
      'cve/CVE-2018-19417.txt',
    ])
  })

  test('sums up, and says how to enforce more', async () => {
    const { stdout } = await run({})
    const [, enforced, reported, off] =
      /\n\nno proxy\.yaml, so the preset "standard": (\d+) enforced, (\d+) reported, (\d+) off\n/.exec(
        stdout,
      ) ?? []
    expect(Number(enforced) + Number(reported) + Number(off)).toBe(allPatches.length)
    expect(count(stdout, 'enforce') + count(stdout, 'always')).toBe(Number(enforced))
    expect(count(stdout, 'report')).toBe(Number(reported))
    expect(count(stdout, 'off') + count(stdout, 'no class')).toBe(Number(off))
    expect(stdout).toContain(
      'hint: to enforce one, "inspection: { rules: { RULE: enforce } }" in proxy.yaml\n',
    )
    expect(stdout).toMatch(/\nhint: for those with no class, .*"classes".*\n$/)
  })

  test('the modes are those of proxy.yaml, or of the file that is named', async () => {
    const own = await run({ 'proxy.yaml': strict })
    expect(cells(own.stdout, 'CVE-2017-7650')[2]).toBe('enforce')
    expect(cells(own.stdout, 'CVE-2016-9877')[2]).toBe('report')
    expect(own.stdout).toMatch(/\nproxy\.yaml: \d+ enforced, \d+ reported, 5 off\n/)
    const named = await run({ 'proxy.yaml': strict, 'other.yaml': plain }, '-c', 'other.yaml')
    expect(cells(named.stdout, 'CVE-2017-7650')[2]).toBe('report')
    expect(named.stdout).toContain('\nother.yaml: ')
    const observed = await run({ 'proxy.yaml': `${plain}policy: { mode: observe }\n` })
    expect(cells(observed.stdout, 'CVE-2019-11779')[2]).toBe('report')
    expect(cells(observed.stdout, 'CVE-2017-2892')[2]).toBe('enforce')
  })

  test('a patch of two rules does what the weaker of them does', async () => {
    const half = await run({
      'proxy.yaml': `${plain}inspection: { rules: { client-id-characters: enforce } }\n`,
    })
    expect(cells(half.stdout, 'CVE-2020-13821')[2]).toBe('enforce')
    expect(cells(half.stdout, 'CVE-2020-13932')[2]).toBe('off')
    const both = 'client-id-characters: enforce, topic-characters: report'
    const whole = await run({ 'proxy.yaml': `${plain}inspection: { rules: { ${both} } }\n` })
    expect(cells(whole.stdout, 'CVE-2020-13932')[2]).toBe('report')
  })

  test('a limit of a class counts once a class has it, and only that limit', async () => {
    const topic = await run({ 'proxy.yaml': classed('maxTopic: 64B') })
    expect(cells(topic.stdout, 'CVE-2018-19417')[2]).toBe('enforce')
    expect(cells(topic.stdout, 'CVE-2018-17614')[2]).toBe('no class')
    const received = await run({ 'proxy.yaml': classed('maxReceived: 128B') })
    expect(cells(received.stdout, 'CVE-2018-19417')[2]).toBe('no class')
    expect(cells(received.stdout, 'CVE-2018-17614')[2]).toBe('enforce')
    const off = await run({
      'proxy.yaml': `${classed('maxTopic: 64B')}inspection: { rules: { topic-bytes: off } }\n`,
    })
    expect(cells(off.stdout, 'CVE-2018-19417')[2]).toBe('off')
  })

  test('listeners that differ have a column and a sum each, and those that do not share one', async () => {
    const { stdout } = await run({ 'proxy.yaml': several })
    expect(stdout).toMatch(/^CVE +PRODUCT +RULE +ward, lab +icu +VECTOR\n/)
    expect(cells(stdout, 'CVE-2017-7650').slice(2, 4)).toEqual(['report', 'enforce'])
    expect(cells(stdout, 'CVE-2017-2892').slice(2, 4)).toEqual(['enforce', 'enforce'])
    const sums = [...stdout.matchAll(/\nproxy\.yaml: (.+): (\d+) enforced, (\d+) reported, (?:\d+) off/g)]
    expect(sums.map(([, names]) => names)).toEqual(['ward, lab', 'icu'])
    expect(Number(sums[1]?.[2])).toBe(Number(sums[0]?.[2]) + 1)
    expect(Number(sums[1]?.[3])).toBe(Number(sums[0]?.[3]) - 1)
  })

  test('nothing that is not printable reaches a terminal', () => {
    const states: State[] = allPatches.map(() => 'enforce')
    const columns = [
      { listener: 'a\u001B[2J', states },
      { listener: 'b\u202E', states: states.with(0, 'off') },
    ]
    const text = patchesText(allPatches, columns, 'c\u0007.yaml')
    // oxlint-disable-next-line no-control-regex
    expect(text).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F\u202E]/)
    expect(text).toContain(String.raw`c\u{7}.yaml: a\u{1b}[2J: 81 enforced, 0 reported, 0 off`)
  })

  test('--json: one document with everything that is known of each', async () => {
    const { stdout, stderr, status } = await run({ 'proxy.yaml': several }, '--json')
    expect([status, stderr]).toEqual([0, ''])
    const document = JSON.parse(stdout)
    expect(document.file).toBe('proxy.yaml')
    expect(document.patches.map(({ id }: { id: string }) => id)).toEqual(allPatches.map(({ id }) => id))
    expect(document.patches[5]).toEqual({
      id: 'CVE-2017-2895',
      product: 'Mongoose',
      versions: '6.8',
      direction: 'up',
      packet: 'a filter of a SUBSCRIBE is longer than its packet',
      rules: ['field-past-end'],
      confidence: 'from the fix',
      vector: 'cve/CVE-2017-2895.txt',
      modes: { ward: 'enforce', icu: 'enforce', lab: 'enforce' },
    })
    const guarded = document.patches.find(({ id }: { id: string }) => id === 'CVE-2026-25627')
    expect(guarded).toMatchObject({ rules: [], guard: 'first-bytes', modes: { ward: 'always' } })
    expect(Object.keys(document.summary)).toEqual(['ward', 'icu', 'lab'])
    expect(document.summary.icu.enforced).toBe(document.summary.ward.enforced + 1)
    const without = JSON.parse((await run({}, '--json')).stdout)
    expect(without.file).toBeNull()
    expect(Object.keys(without.summary)).toEqual(['default'])
  })

  test('a file with mistakes, or one that is named and missing, is no configuration', async () => {
    await expect(run({ 'proxy.yaml': 'listeners: []\n' })).rejects.toThrow(ConfigError)
    await expect(run({ 'proxy.yaml': plain }, '-c', 'other.yaml')).rejects.toThrow(ConfigError)
  })

  test.each([['--jsno'], ['proxy.yaml'], ['--config']])('%s is a usage error', async (...argv) => {
    await expect(run({}, ...argv)).rejects.toThrow(UsageError)
    await expect(run({}, ...argv)).rejects.toMatchObject({ hint: 'see "pulseward patches --help"' })
  })

  test('--help names every option and the exit status', async () => {
    const { stdout, status } = await run({}, '--help')
    expect([status, stdout]).toEqual([0, patchesHelp])
    for (const text of [
      'usage: pulseward patches',
      '-c, --config FILE',
      '--json',
      '-h, --help',
      'exit status: 0',
    ])
      expect(patchesHelp).toContain(text)
    for (const line of patchesHelp.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
  })
})

/** Runs the command in a folder with these files. */
async function run(files: Readonly<Record<string, string>>, ...argv: string[]) {
  await using folder = await Folder.make(files)
  const out = { stdout: '', stderr: '', status: -1 }
  const io: Io = {
    stdout: (text) => (out.stdout += text),
    stderr: (text) => (out.stderr += text),
    env: {},
    cwd: folder.path,
  }
  out.status = await patches(argv, io)
  return out
}

/** The cells of a row behind its id. */
function cells(stdout: string, id: string): string[] {
  const row = stdout.split('\n').find((line) => line.startsWith(`${id} `))
  return row?.split(/ {2,}/).slice(1) ?? []
}

function count(stdout: string, state: string): number {
  return allPatches.filter(({ id }) => cells(stdout, id)[2] === state).length
}
