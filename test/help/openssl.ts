// Debian's openssl as a second opinion on what we mint.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { tool } from './tools.ts'

const run = promisify(execFile)

/** What `openssl ARGUMENTS` prints; rejects where it fails. For suites under `describeWith(['openssl'], …)`. */
export async function openssl(...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run(tool('openssl'), [...args], { timeout: 20_000 })
  return stdout + stderr
}
