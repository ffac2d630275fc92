// Runs the kernel's own tools, such as nft and ip: arguments as they are, no shell, within a bounded time.

import { spawnSync } from 'node:child_process'
import type { Command } from '../net/rules.ts'

export interface Ran {
  /** Undefined where the program is not there. */
  readonly status: number | undefined
  readonly stdout: string
  /** What it complained about, on one line. */
  readonly complaint: string
}

export type Run = (command: Command, input?: string) => Ran

export const runTool: Run = ([program, ...args], input = '') => {
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    input,
    encoding: 'utf8',
    timeout: 20_000,
    maxBuffer: 4_194_304,
  })
  const isMissing = error !== undefined && 'code' in error && error.code === 'ENOENT'
  if (isMissing) return { status: undefined, stdout: '', complaint: `"${program}" is not installed` }
  const complaint = (stderr || error?.message || '').replaceAll(/\s+/g, ' ').trim()
  return { status: status ?? 1, stdout, complaint }
}
