// Debian's openssl as a second opinion; suites that need it say so where it is missing.
import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** False leaves a suite out; with CI=true it never is, so that a missing tool fails. */
export const hasOpenssl = process.env['CI'] === 'true' || spawnSync('openssl', ['version']).status === 0

/** What `openssl ARGUMENTS` prints; rejects where it fails. */
export async function openssl(...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run('openssl', [...args], { timeout: 20_000 })
  return stdout + stderr
}
