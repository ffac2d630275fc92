// `pulseward analyze`: what it prints of captures for people and programs, what policy would have done, and its exit status.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { analyze, analyzeHelp, type AnalyzeIo } from '../../src/cli/analyze.ts'
import { UsageError } from '../../src/cli/io.ts'
import { ConfigError } from '../../src/config/diagnostics.ts'
import { pcap, pcapng } from '../help/captures.ts'
import { Child } from '../help/child.ts'
import { clientHello } from '../help/client-hello.ts'
import { Folder } from '../help/folder.ts'
import { connackPacket, connectPacket, publishPacket, subscribePacket } from '../help/packets.ts'
import { Wire } from '../help/segments.ts'

const ordinary = device('pump-1').close().frames
const curious = device('pump-2').send('up', subscribePacket(4, 1, [['#', 0]])).frames
const broken = device('pump-3\u202etxt')
  .send('up', publishPacket({ version: 4, topic: '' }))
  .send('up', publishPacket({ version: 4, topic: 'a', payload: 'later' })).frames

/** A device that connects, is welcomed and says something. */
function device(clientId: string): Wire {
  return new Wire({ client: { address: '10.0.0.7', port: 50_000 + Number(clientId[5]) } })
    .open()
    .send('up', connectPacket({ version: 4, clientId }))
    .send('down', connackPacket(4))
    .send('up', publishPacket({ version: 4, topic: 'ward/3', payload: 'ok' }))
}

const main = join(import.meta.dirname, '../../src/main.ts')
const observing =
  'listeners: [{ name: ward, bind: "127.0.0.1:1883", upstream: embedded }]\npolicy: { mode: observe }\n'

describe('pulseward analyze', () => {
  test('of ordinary traffic: a summary, and nothing found', async () => {
    const { stdout, stderr, status } = await run({ 'a.pcap': pcap(ordinary) }, 'a.pcap')
    expect(status).toBe(0)
    expect(stderr).toBe('')
    expect(stdout.split('\n')).toEqual([
      'a.pcap: 9 packets, 2023-11-14T22:13:20.000Z to 2023-11-14T22:13:20.008Z',
      'connections: 1 MQTT; 100 % of MQTT is plaintext',
      'sessions: 1 of MQTT 3.1.1; 3 control packets judged by the defaults',
      '',
      'nothing was found',
      '',
    ])
  })

  test('below a warning the exit status is 0, from a warning on it is 3', async () => {
    const files = { 'a.pcapng': pcapng(curious), 'b.pcap': pcap(broken) }
    const curiosity = await run(files, 'a.pcapng')
    expect(curiosity.status).toBe(0)
    expect(table(curiosity.stdout)).toEqual([
      ['SEVERITY', 'FIRST SEEN', 'DEVICE', 'FINDING', 'COUNT', 'PACKETS', 'EVIDENCE'],
      [
        'notice',
        '2023-11-14T22:13:20.006Z',
        '10.0.0.7 pump-2',
        'wide-subscription',
        '1',
        '7',
        'a device subscribed to everything, or to topics of the broker itself, filter #, filters 1, R12, ATT&CK T1040',
      ],
    ])
    expect((await run(files, 'b.pcap')).status).toBe(3)
    expect((await run(files, 'a.pcapng', 'b.pcap')).status).toBe(3)
  })

  test('of several captures: packets are named by file and number, the worst comes first, texts are safe', async () => {
    const { stdout } = await run(
      { 'a.pcapng': pcapng(curious), 'b.pcap': pcap(broken) },
      'a.pcapng',
      'b.pcap',
    )
    expect(stdout).toContain('a.pcapng, b.pcap: 15 packets')
    const [, first, second] = table(stdout)
    expect(first?.slice(0, 6)).toEqual([
      'warning',
      '2023-11-14T22:13:20.006Z',
      String.raw`10.0.0.7 pump-3\u{202e}txt`,
      'protocol: topic-empty',
      '1',
      '2:7',
    ])
    expect(first?.[6]).toContain('CVE-2021-34432')
    expect(second?.[5]).toBe('1:7')
    expect(stdout).not.toContain('\u202e')
  })

  test('--policy: what enforcement would have done, where proxy.yaml only observes', async () => {
    const files = { 'proxy.yaml': observing, 'b.pcap': pcap(broken) }
    const observed = await run(files, 'b.pcap')
    expect(observed.status).toBe(0)
    expect(observed.stdout).toContain('judged by proxy.yaml')
    expect(table(observed.stdout)[1]?.slice(3, 5)).toEqual(['protocol: topic-empty', '1'])
    const enforced = await run(files, 'b.pcap', '--policy')
    expect(enforced.status).toBe(3)
    expect(table(enforced.stdout)[1]?.slice(3, 6)).toEqual(['protocol: topic-empty', 'refuse', '1'])
    const [policy, ...rows] = enforced.stdout.split('\n').slice(-4)
    expect(policy).toBe(
      'policy: 1 of 1 sessions would have ended, and 10 bytes of theirs would not have gone on',
    )
    expect(rows.map((row) => row.split(/ {2,}/))).toEqual([
      ['TIME', 'DEVICE', 'REASON', 'FROM', 'PACKET', 'BYTES HELD BACK'],
      ['2023-11-14T22:13:20.006Z', String.raw`10.0.0.7 pump-3\u{202e}txt`, 'topic-empty', 'up', '7', '10'],
      [''],
    ])
    const harmless = await run({ 'a.pcap': pcap(ordinary) }, 'a.pcap', '--policy')
    expect(harmless.stdout).toContain('policy: 0 of 1 sessions would have ended')
  })

  test('--json: one document with all of it', async () => {
    const files = { 'a.pcapng': pcapng(curious), 'b.pcap': pcap(broken) }
    const { stdout, status } = await run(files, '--json', '--policy', 'a.pcapng', 'b.pcap')
    expect(status).toBe(3)
    const document = JSON.parse(stdout)
    expect(Object.keys(document)).toEqual(['files', 'config', 'summary', 'incidents', 'tls', 'policy'])
    expect(document).toMatchObject({
      files: [
        { name: 'a.pcapng', problem: null },
        { name: 'b.pcap', problem: null },
      ],
      config: null,
      summary: {
        packets: 15,
        firstTime: '2023-11-14T22:13:20.000Z',
        connections: { mqtt: { count: 2 } },
        sessions: { versions: { '3.1.1': 2 }, controlPackets: 7 },
        plaintextShare: 1,
        notJudged: { gaps: 0, evicted: 0, cutPackets: 0, shortPackets: 0, fragments: 0, unknownLinkType: 0 },
      },
      policy: {
        refused: 1,
        of: 2,
        bytesHeldBack: 10,
        listed: [{ packet: { file: 2, packet: 7 }, bytesAfter: 10 }],
      },
    })
    expect(document.incidents).toHaveLength(2)
    expect(document.incidents[1]).toMatchObject({
      severity: 'warning',
      detector: 'protocol',
      rule: 'topic-empty',
      address: '10.0.0.7',
      clientIds: [String.raw`pump-3\u{202e}txt`],
      count: 1,
      packets: [{ file: 2, packet: 7 }],
      evidence: { rule: 'topic-empty', direction: 'up', offset: 2 },
      references: expect.arrayContaining(['CVE-2021-34432']),
      action: 'refuse',
    })
    const plain = JSON.parse((await run(files, '--json', 'a.pcapng')).stdout)
    expect(plain.policy).toBeUndefined()
    expect(plain.incidents[0].packets).toEqual([{ packet: 7 }])
  })

  test('TLS clients are listed by what they say before encryption', async () => {
    const tls = new Wire({ server: { address: '10.0.0.1', port: 8883 } })
      .open()
      .send('up', await clientHello())
    const { stdout, status } = await run({ 'a.pcap': pcap([...ordinary, ...tls.frames]) }, 'a.pcap')
    expect(status).toBe(0)
    expect(stdout).toMatch(/^connections: 1 MQTT, 1 TLS; \d+ % of MQTT is plaintext$/m)
    const lines = stdout.split('\n')
    const [head, row] = lines.slice(lines.indexOf('TLS, which is not decrypted:') + 1)
    expect(head?.split(/ {2,}/)).toEqual(['DEVICE', 'JA4', 'OFFERS', 'SERVER NAME', 'CONNECTIONS'])
    expect(row?.split(/ {2,}/)).toEqual([
      '10.0.0.7',
      expect.stringMatching(/^t13d/),
      'TLSv1.3 TLSv1.2',
      'broker.hospital.example',
      '1',
    ])
  })

  test('a table ends after 200 rows and says how many there are; the document has them all', async () => {
    const many = Array.from({ length: 205 }, (_, index) => {
      const client = { address: `10.1.0.${index}`, port: 5 }
      return new Wire({ client, time: 1_700_000_000_000 + index })
        .open()
        .send('up', Buffer.from('GET / HTTP/1.1')).frames
    })
    const files = { 'a.pcap': pcap(many.flat()) }
    const { stdout } = await run(files, 'a.pcap', '--policy')
    expect(stdout.match(/^… and 5 more; --json lists them$/gm)).toHaveLength(2)
    expect(table(stdout)).toHaveLength(1 + 200 + 1)
    const { incidents, policy } = JSON.parse((await run(files, 'a.pcap', '--policy', '--json')).stdout)
    expect([incidents.length, policy.listed.length, policy.refused, policy.of]).toEqual([205, 205, 205, 205])
  })

  test('a capture without times has none', async () => {
    const { stdout } = await run({ 'a.pcapng': pcapng(curious, { block: 'simple' }) }, 'a.pcapng')
    expect(stdout).toContain('a.pcapng: 7 packets\n')
    expect(table(stdout)[1]?.slice(0, 2)).toEqual(['notice', '-'])
  })

  test('is a command of the program', async () => {
    await using folder = await Folder.make()
    await writeFile(folder.at('b.pcap'), pcap(broken))
    await using program = new Child(process.execPath, [main, 'analyze', 'b.pcap'], { cwd: folder.path })
    expect(await program.ended).toEqual({ code: 3, signal: null })
    expect(program.stdout.toString()).toContain('topic-empty')
    expect(program.stderr).toBe('')
  })

  test('what a capture leaves out is said', async () => {
    const { stdout } = await run({ 'a.pcap': pcap(broken, { snapLength: 60 }) }, 'a.pcap')
    expect(stdout.split('\n').slice(1, 4)).toEqual([
      'connections: 1 MQTT; 100 % of MQTT is plaintext',
      'sessions: 1 without a CONNECT that passed; 0 control packets judged by the defaults',
      'not judged: sessions from a gap in the capture on: 1; packets cut by the snap length: 3',
    ])
    const late = await run({ 'a.pcap': pcap(broken.slice(5)) }, 'a.pcap')
    expect(late.stdout.split('\n').slice(1, 3)).toEqual([
      'connections: 1 begun before the capture',
      'sessions: none; 0 control packets judged by the defaults',
    ])
  })

  test('a capture that ends early or is damaged is judged as far as it goes', async () => {
    const whole = pcap(ordinary)
    const wrong = Buffer.from(whole)
    // The size of the fifth packet.
    wrong.writeUInt32LE(
      0xffff_ffff,
      24 + 3 * (16 + 54) + 16 + 54 + connectPacket({ version: 4, clientId: 'pump-1' }).length + 8,
    )
    const files = { 'a.pcap': whole.subarray(0, -1), 'b.pcap': wrong }
    expect(await run(files, 'a.pcap')).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(
        /^pulseward: warning: "a.pcap": the file ends inside a record, at byte \d+\n$/,
      ),
      stdout: expect.stringContaining('a.pcap: 8 packets'),
    })
    expect(await run(files, 'b.pcap')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('"b.pcap": a packet claims 4294967295 bytes'),
      stdout: expect.stringContaining('b.pcap: 4 packets'),
    })
  })

  test.each([
    ['a missing file', 'none.pcap', /"none\.pcap": ENOENT/],
    ['a folder', '.', /"\.": EISDIR/],
    ['no capture', 'a.txt', /"a\.txt": the file is neither pcap nor pcapng/],
  ])('%s is an error', async (_, name, message) => {
    await expect(run({ 'a.txt': 'not a capture at all' }, name)).rejects.toMatchObject({
      code: 'capture-unreadable',
      blame: 'config',
      message: expect.stringMatching(message),
    })
  })

  test('so is a configuration with mistakes, or one that is named and missing', async () => {
    const files = { 'a.pcap': pcap(ordinary), 'proxy.yaml': 'listeners: []\n' }
    await expect(run(files, 'a.pcap')).rejects.toThrow(ConfigError)
    await expect(run(files, 'a.pcap', '-c', 'other.yaml')).rejects.toThrow(ConfigError)
  })

  test.each([[[]], [['--jsno', 'a.pcap']], [['a.pcap', '--config']]])('%j is a usage error', async (argv) => {
    await expect(run({}, ...argv)).rejects.toThrow(UsageError)
    await expect(run({}, ...argv)).rejects.toMatchObject({ hint: 'see "pulseward analyze --help"' })
  })

  test('--help names every option and the exit status', async () => {
    const { stdout, status } = await run({}, '--help')
    expect([status, stdout]).toEqual([0, analyzeHelp])
    for (const text of ['-c, --config FILE', '--policy', '--json', '-h, --help', 'exit status: 0'])
      expect(analyzeHelp).toContain(text)
    for (const line of analyzeHelp.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
  })

  test('a terminal sees how far it has come, and nothing of it afterwards', async () => {
    const { stderr } = await run({ 'a.pcap': pcap(ordinary) }, { isTerminal: true }, 'a.pcap')
    expect(stderr).toBe('\r[########################] 100 %  9 packets\u001b[K\r\u001b[K')
  })
})

/** Runs the command in a folder with these files. */
async function run(
  files: Readonly<Record<string, string | Buffer>>,
  ...given: (string | { readonly isTerminal: boolean })[]
) {
  await using folder = await Folder.make()
  for (const [name, content] of Object.entries(files)) await writeFile(folder.at(name), content)
  const argv = given.filter((one) => typeof one === 'string')
  const out = { stdout: '', stderr: '', status: -1 }
  const io: AnalyzeIo = {
    stdout: (text) => (out.stdout += text),
    stderr: (text) => (out.stderr += text),
    env: {},
    cwd: folder.path,
    isTerminal: given.length > argv.length,
  }
  out.status = await analyze(argv, io)
  return out
}

/** The rows of the table of incidents, head included. */
function table(stdout: string): string[][] {
  const lines = stdout.split('\n')
  const from = lines.findIndex((line) => line.startsWith('SEVERITY'))
  return lines.slice(from, lines.indexOf('', from)).map((line) => line.split(/ {2,}/))
}
