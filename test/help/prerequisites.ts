// What `npm test` does first: sees to the programs of other people that some suites need, or says what is skipped.

import { spawnSync } from 'node:child_process'
import { accessSync, constants, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

interface Program {
  readonly name: string
  /** The Debian package that has it. */
  readonly debian: string
  /** What cannot be tested without it. */
  readonly suites: string
}

export const programs: readonly Program[] = [
  { name: 'mosquitto', debian: 'mosquitto', suites: 'end to end against a real broker' },
  { name: 'mosquitto_pub', debian: 'mosquitto-clients', suites: 'end to end with real clients' },
  { name: 'mosquitto_sub', debian: 'mosquitto-clients', suites: 'end to end with real clients' },
  { name: 'mitmdump', debian: 'mitmproxy', suites: 'mitmproxy between proxy and broker' },
  { name: 'stunnel', debian: 'stunnel4', suites: 'stunnel between proxy and broker' },
  { name: 'openssl', debian: 'openssl', suites: 'TLS against another implementation' },
  { name: 'prlimit', debian: 'util-linux', suites: 'running out of file descriptors' },
  { name: 'promtool', debian: 'prometheus', suites: 'metrics and alert rules as Prometheus reads them' },
  { name: 'prometheus', debian: 'prometheus', suites: 'alerts that fire in a real Prometheus' },
]

/** Where Debian puts servers; not on the path of ordinary users. */
const serverFolders = ['/usr/sbin', '/usr/local/sbin', '/sbin']

/** The program's path, or undefined. */
export function findTool(name: string, path: string = process.env['PATH'] ?? ''): string | undefined {
  const folders = [...path.split(delimiter), ...serverFolders]
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

if (import.meta.main) process.exitCode = prepare()

/** @returns the exit status: 1 only where CI is true and a program is missing all the same. */
function prepare(): number {
  const wanted = missing()
  if (wanted.length === 0) return 0
  if (process.getuid?.() === 0 && findTool('apt-get') !== undefined) {
    install([...new Set(wanted.map(({ debian }) => debian))])
  }
  const left = missing()
  if (left.length === 0) return 0
  const lines = left.map(({ name, debian, suites }) => `  ${name.padEnd(14)} ${suites} (Debian: ${debian})`)
  const inCi = process.env['CI'] === 'true'
  const verdict = inCi
    ? 'not installed, and CI is true: tests would be missing'
    : 'not installed; these tests are skipped'
  process.stderr.write(`${verdict}:\n${lines.join('\n')}\n`)
  return inCi ? 1 : 0
}

function missing(): Program[] {
  return programs.filter(({ name }) => findTool(name) === undefined)
}

/** Installs Debian packages, quietly and within a bounded time; a failure is told and leaves the suites skipped. */
function install(packages: readonly string[]): void {
  process.stderr.write(`installing for the tests: ${packages.join(', ')}\n`)
  using _ = keepServicesStopped()
  const wanted = ['install', '-y', '--no-install-recommends', ...packages]
  // The lists of a fresh machine are empty, and those of an old one name packages that are gone.
  if (!aptGet(wanted)) void (aptGet(['update']) && aptGet(wanted, { loud: true }))
}

function aptGet(args: readonly string[], { loud = false } = {}): boolean {
  const options = [
    '-qq',
    '-o',
    'Acquire::Retries=1',
    '-o',
    'Acquire::http::Timeout=15',
    '-o',
    'DPkg::Lock::Timeout=60',
  ]
  const { status, stderr } = spawnSync('apt-get', [...options, ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_SUSPEND: '1' },
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    timeout: 180_000,
  })
  if (status !== 0 && loud) process.stderr.write(stderr)
  return status === 0
}

/**
 * A mosquitto that Debian starts would sit on port 1883, and a Prometheus on 9090: a policy forbids it for as long as
 * packages are being installed (Debian policy 9.3.3.1). One that is already there is left alone.
 */
function keepServicesStopped(): Disposable {
  const policy = '/usr/sbin/policy-rc.d'
  try {
    writeFileSync(policy, '#!/bin/sh\nexit 101\n', { flag: 'wx', mode: 0o755 })
  } catch {
    return { [Symbol.dispose]: () => {} }
  }
  // Ctrl-C waits until the policy is gone again; npm, which hears it too, then ends everything.
  const wait = (): void => {}
  process.on('SIGINT', wait).on('SIGTERM', wait)
  return {
    [Symbol.dispose]: () => {
      rmSync(policy, { force: true })
      process.off('SIGINT', wait).off('SIGTERM', wait)
    },
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
