import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { lacksOf, type Machine } from '../../src/cli/check-interception.ts'
import { UsageError } from '../../src/cli/io.ts'
import { rules, rulesHelp } from '../../src/cli/rules.ts'
import { runTool, type Ran, type Run } from '../../src/cli/tool.ts'
import { loadConfig } from '../../src/config/load.ts'
import { Abilities } from '../../src/net/abilities.ts'

const gateway = `
listeners:
  - { name: wards, bind: "[::]:11883", mode: redirect, upstream: embedded, accept: [mqtt], interfaces: [eth1] }
  - name: theatre
    bind: 0.0.0.0:11884
    mode: tproxy
    upstream: embedded
    preserveSource: true
    destinations: [{ to: "192.0.2.10:1883" }, { to: "[2001:db8::1]:1883" }]
`
const direct = 'listeners: [{ name: ward, bind: "127.0.0.1:1883", upstream: embedded }]\n'
const fine: Ran = { status: 0, stdout: '', complaint: '' }

/** A working directory with a proxy.yaml, and what ran there instead of nft and ip. */
async function shell(config: string, outcome: (line: string) => Ran = () => fine) {
  const folder = await mkdtempDisposable(join(tmpdir(), 'pulseward-rules-'))
  await writeFile(join(folder.path, 'proxy.yaml'), config)
  const ran: string[] = []
  const run: Run = (command, input) => {
    ran.push([...command, ...(input === undefined ? [] : [`< ${input.split('\n')[2] ?? ''}`])].join(' '))
    return outcome(command.join(' '))
  }
  const written = { stdout: '', stderr: '' }
  const io = {
    stdout: (text: string) => void (written.stdout += text),
    stderr: (text: string) => void (written.stderr += text),
    env: {},
    cwd: folder.path,
  }
  return {
    ran,
    run,
    written,
    config: () => loadConfig('proxy.yaml', {}, folder.path).config,
    rules: async (...argv: string[]) => await rules(argv, io, run),
    [Symbol.asyncDispose]: async () => await folder.remove(),
  }
}

describe('pulseward rules', () => {
  test('prints what to paste, and runs nothing', async () => {
    await using here = await shell(gateway)
    expect(await here.rules()).toBe(0)
    expect(here.ran).toEqual([])
    const { stdout } = here.written
    expect(stdout).toContain("nft -f - <<'END'\ntable inet pulseward\ndelete table inet pulseward\n")
    // Without destinations, MQTT to anywhere; a listener of IPv4 gets none of IPv6.
    expect(stdout).toContain('iifname { "eth1" } ip daddr 0.0.0.0/0 tcp dport 1883 redirect to :11883')
    expect(stdout).toContain('iifname { "eth1" } ip6 daddr ::/0 tcp dport 1883 redirect to :11883')
    expect(stdout).toContain('ip daddr 192.0.2.10/32 tcp dport 1883 tproxy ip to :11884 meta mark set')
    expect(stdout).not.toContain('2001:db8::1')
    expect(stdout).toContain('\nip -4 route replace local default dev lo table 20568\n')
  })

  test('sets routes, then the table; a routing rule that is there is no failure', async () => {
    await using here = await shell(gateway, (line) =>
      line.includes(' rule add ')
        ? { status: 2, stdout: '', complaint: 'RTNETLINK answers: File exists' }
        : fine,
    )
    expect(await here.rules('--apply')).toBe(0)
    expect(here.ran.map((line) => line.split(' ').slice(0, 4).join(' '))).toEqual([
      'ip -4 rule add',
      'ip -4 route replace',
      'ip -6 rule add',
      'ip -6 route replace',
      'nft -f - <',
    ])
    expect(here.ran.at(-1)).toContain('table inet pulseward {')
  })

  test('clears the table, then the routes', async () => {
    await using here = await shell(gateway, (line) =>
      line.startsWith('ip') ? { status: 2, stdout: '', complaint: 'No such process' } : fine,
    )
    expect(await here.rules('--remove')).toBe(0)
    expect(here.ran[0]).toMatch(/^nft -f -/)
    expect(here.ran.filter((line) => line.includes(' del '))).toHaveLength(4)
  })

  test('needs none where every listener is direct, and clears those of before', async () => {
    await using here = await shell(direct)
    expect(await here.rules()).toBe(0)
    expect(here.written.stdout).toMatch(/^# .*no rules/)
    expect(here.ran).toEqual([])
    expect(await here.rules('--apply')).toBe(0)
    expect(here.ran[0]).toMatch(/^nft -f -/)
  })

  test.each([
    ['nft: Operation not permitted', 1, 'CAP_NET_ADMIN'],
    ['"ip" is not installed', undefined, 'install'],
  ])('says what the system said, and what to do: %s', async (complaint, status, hint) => {
    await using here = await shell(gateway, () => ({ status, stdout: '', complaint }))
    await expect(here.rules('--apply')).rejects.toMatchObject({
      code: 'rules-refused',
      message: expect.stringContaining(complaint) as string,
      hint: expect.stringContaining(hint) as string,
    })
  })

  test.each([
    ['a port that is any', 'bind: "0.0.0.0:0"'],
    ['a loopback address', 'bind: "127.0.0.1:1884"'],
  ])('no rule can lead to %s', async (_, bind) => {
    await using here = await shell(`listeners: [{ name: w, ${bind}, mode: redirect, upstream: embedded }]`)
    await expect(here.rules()).rejects.toMatchObject({ code: 'rules-impossible', blame: 'config' })
  })

  test('its help is true to its options, and two of them at once make no sense', async () => {
    await using here = await shell(gateway)
    expect(await here.rules('--help')).toBe(0)
    expect(here.written.stdout).toBe(rulesHelp)
    for (const line of rulesHelp.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
    await expect(here.rules('--apply', '--remove')).rejects.toThrow(UsageError)
    await expect(here.rules('--force')).rejects.toThrow(UsageError)
  })

  test('a program that is not there is told from one that fails', () => {
    expect(runTool(['pulseward-no-such-program'])).toMatchObject({ status: undefined })
    expect(runTool([process.execPath, '-e', 'console.error("no\\n way"); process.exit(3)'])).toEqual({
      status: 3,
      stdout: '',
      complaint: 'no way',
    })
  })
})

describe('what a machine lacks', () => {
  const machine = (run: Run, read = (): string => '1\n'): Machine => ({
    run,
    read,
    abilities: new Abilities(() => ({ why: 'koffi cannot be loaded' })),
  })
  const lacks = async (outcome: (line: string) => Ran, read?: () => string): Promise<string[]> => {
    await using here = await shell(gateway, outcome)
    return lacksOf(here.config(), machine(here.run, read)).map(({ what, hint }) => `${what} | ${hint}`)
  }

  test('features that are off, rules that are not set, a kernel that forwards nothing', async () => {
    const listed = (line: string): Ran => (line.includes('list') ? { ...fine, status: 1 } : fine)
    const found = await lacks(listed, () => '0\n')
    expect(found.slice(0, 3)).toEqual(
      ['redirect', 'tproxy', 'preserve-source'].map(
        (feature) =>
          expect.stringMatching(`^${feature} is off: koffi cannot be loaded | .*npm install`) as string,
      ),
    )
    expect(found.slice(3)).toEqual([
      'the rules are not set: devices are not intercepted | pulseward rules --apply',
      expect.stringContaining('sysctl -w net.ipv4.ip_forward=1') as string,
      expect.stringContaining('sysctl -w net.ipv6.conf.all.forwarding=1') as string,
    ])
  })

  test.each([
    ['nft is not installed', { status: undefined, stdout: '', complaint: '' }, 'apt-get install nftables'],
    ['no leave', { status: 1, stdout: '', complaint: 'Operation not permitted' }, 'CAP_NET_ADMIN'],
    ['no module', { status: 1, stdout: '', complaint: 'Could not process rule' }, 'modprobe'],
  ])('%s', async (_, outcome, hint) => {
    const found = await lacks(() => outcome)
    expect(found).toHaveLength(4)
    expect(found[3]).toContain(hint)
  })

  test('nothing where nothing is intercepted, and nothing is run', async () => {
    await using here = await shell(direct)
    expect(lacksOf(here.config(), machine(here.run))).toEqual([])
    expect(here.ran).toEqual([])
  })
})
