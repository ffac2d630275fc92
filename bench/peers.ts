// Who is compared: how each proxy is told to do the same job, and what version it is.
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Job, NGINX_MODULE, haproxyCfg, nginxConf, proxyYaml, stunnelConf } from './configurations.ts'
import type { PeerName } from './options.ts'

export interface Peer {
  readonly name: PeerName
  /** The row's name in the table. */
  readonly title: string
  /** Writes the configuration and returns the program and its arguments. */
  readonly command: (job: Job) => [string, ...string[]]
  /** What it calls itself, with its TLS library; undefined when it is not installed. */
  readonly version: () => Promise<string | undefined>
}

const ROOT = new URL('../', import.meta.url)
const NODE = `Node ${process.versions.node}, OpenSSL ${process.versions.openssl}`

const pulseward: Peer = {
  name: 'pulseward',
  title: 'Pulseward',
  command: (job) => [
    process.execPath,
    fileOf('bin/pulseward.js'),
    'run',
    '-c',
    write(job, 'proxy.yaml', proxyYaml(job)),
  ],
  version: async () => {
    if (!existsSync(new URL('src/main.ts', ROOT))) return undefined
    const { version } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as { version: string }
    const commit = await firstMatch(
      'git',
      ['-C', fileOf('.'), 'rev-parse', '--short', 'HEAD'],
      /[0-9a-f]{7,}/,
    )
    return `${version}${commit === undefined ? '' : ` (${commit})`}, ${NODE}`
  },
}

const haproxy: Peer = {
  name: 'haproxy',
  title: 'HAProxy',
  command: (job) => ['haproxy', '-db', '-f', write(job, 'haproxy.cfg', haproxyCfg(job))],
  version: () =>
    versionOf('haproxy', ['-vv'], /HAProxy version (\S+)/, /Running on OpenSSL version : OpenSSL (\S+)/),
}

const stunnel: Peer = {
  name: 'stunnel',
  title: 'stunnel',
  command: (job) => ['stunnel', write(job, 'stunnel.conf', stunnelConf(job))],
  version: () => versionOf('stunnel', ['-version'], /stunnel (\S+) on/, /Running\s+with OpenSSL (\S+)/),
}

const nginx: Peer = {
  name: 'nginx',
  title: 'nginx',
  command: (job) => [
    'nginx',
    '-p',
    job.folder,
    '-e',
    'stderr',
    '-c',
    write(job, 'nginx.conf', nginxConf(job)),
  ],
  version: async () =>
    existsSync(NGINX_MODULE)
      ? versionOf('nginx', ['-V'], /nginx version: nginx\/(\S+)/, /with .*OpenSSL ([\d.]+)/)
      : undefined,
}

const relay: Peer = {
  name: 'relay',
  title: 'bare Node relay',
  command: ({ listen, upstream, pki }) => [
    process.execPath,
    fileOf('bench/relay.ts'),
    '--listen',
    String(listen),
    '--upstream',
    String(upstream),
    '--ca',
    pki.ca,
  ],
  version: async () => `no inspection, ${NODE}`,
}

export const ALL_PEERS: readonly Peer[] = [pulseward, haproxy, stunnel, nginx, relay]

function write({ folder }: Job, name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

function fileOf(path: string): string {
  return fileURLToPath(new URL(path, ROOT))
}

async function versionOf(
  program: string,
  args: string[],
  own: RegExp,
  library: RegExp,
): Promise<string | undefined> {
  const version = await firstMatch(program, args, own)
  if (version === undefined) return undefined
  return `${version}, OpenSSL ${(await firstMatch(program, args, library)) ?? 'unknown'}`
}

async function firstMatch(program: string, args: string[], pattern: RegExp): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await promisify(execFile)(program, args)
    const found = pattern.exec(stdout + stderr)
    return found?.[1] ?? found?.[0]
  } catch {
    return undefined
  }
}
