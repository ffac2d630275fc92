// Pulseward and its peers on the same work, side by side, in one run; `npm run bench`.
import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { messageOf } from '../src/errors.ts'
import { LOAD_CORE, PROXY_CORE } from './child.ts'
import { type Options, USAGE, readOptions } from './options.ts'
import { mintPki } from './pki.ts'
import { readCoreTime } from './proc.ts'
import { type Results, toFigures, toJson, toMarkdown } from './report.ts'
import { Run } from './run.ts'

const ALONE_TIMEOUT = 120_000
const SCRIPTS_ROOT = fileURLToPath(new URL('.', import.meta.url))
const REPOSITORY = join(SCRIPTS_ROOT, '..')

try {
  const options = readOptions(process.argv.slice(2), join(SCRIPTS_ROOT, 'results'))
  if (options.help) process.stdout.write(USAGE)
  else process.exitCode = await run(options)
} catch (error) {
  const isUsage = error instanceof RangeError
  process.stderr.write(`bench: ${messageOf(error)}\n${isUsage ? USAGE : ''}`)
  process.exitCode = isUsage ? 2 : 1
}

/** Returns the exit code: 1 when anything asked for could not be measured. */
async function run(options: Options): Promise<number> {
  await takeLoadCore()
  if (options.micro) await runAlone('micro.ts')
  if (options.analyze) await runAlone('analyze.ts')
  if (options.scenarios.length === 0) return 0
  const folder = mkdtempSync(join(tmpdir(), 'pulseward-bench-'))
  chmodSync(folder, 0o700)
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const results = await new Run(options, { folder, pki: await mintPki(folder) }, say).toTheEnd()
  write(options.out, results)
  if (options.publish) publish(results)
  return results.failures.length === 0 ? 0 : 1
}

/** Leaves the proxy's core to the proxy. */
async function takeLoadCore(): Promise<void> {
  if (process.platform !== 'linux')
    throw new Error('the benchmark reads /proc and pins cores: it needs Linux')
  readCoreTime(PROXY_CORE)
  readCoreTime(LOAD_CORE)
  const argv = ['-a', '-c', '-p', String(LOAD_CORE), String(process.pid)]
  // A thread of ours that ends between its listing and its turn makes taskset fail; the rest has been moved by then.
  await promisify(execFile)('taskset', argv).catch(() => promisify(execFile)('taskset', argv))
}

/** What needs no sockets and no peers, on the proxy's core. */
async function runAlone(script: string): Promise<void> {
  const argv = ['-c', String(PROXY_CORE), process.execPath, '--expose-gc', join(SCRIPTS_ROOT, script)]
  const { stdout } = await promisify(execFile)('taskset', argv, { timeout: ALONE_TIMEOUT })
  process.stdout.write(stdout)
}

function write(out: string, results: Results): void {
  const base = join(out, results.date.replaceAll(/[:.]/g, '-'))
  const markdown = toMarkdown(results)
  mkdirSync(out, { recursive: true })
  writeFileSync(`${base}.json`, toJson(results))
  writeFileSync(`${base}.md`, markdown)
  process.stdout.write(markdown)
  say(`written: ${base}.md, ${base}.json`)
}

/** Into the documents: all of it, and the figures alone between the markers of the README. */
function publish(results: Results): void {
  writeFileSync(join(REPOSITORY, 'docs/benchmark.md'), toMarkdown(results))
  const readme = join(REPOSITORY, 'README.md')
  const text = readFileSync(readme, 'utf8')
  writeFileSync(readme, text.replace(/(<!-- bench -->\n)[^]*(<!-- \/bench -->)/, `$1${toFigures(results)}$2`))
  say('published: docs/benchmark.md and README.md')
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`)
}
