// What becomes of a suite whose programs are not there.

import { describe, test } from 'vitest'
import { findTool } from './prerequisites.ts'

/** The program's path; throws where it is missing, which `describeWith` rules out. */
export function tool(name: string): string {
  const path = findTool(name)
  if (path === undefined) throw new Error(`"${name}" is not installed`)
  return path
}

/** A suite that changes what only root may, in namespaces of its own: skipped by name for others. */
export function describeAsRoot(tools: readonly string[], name: string, suite: () => void): void {
  if (process.platform === 'linux' && process.getuid?.() === 0) describeWith(tools, name, suite)
  else describe.skip(`${name} (not root on Linux)`, suite)
}

/** A suite that needs programs: without them it is skipped by name, or fails where CI is true. */
export function describeWith(tools: readonly string[], name: string, suite: () => void): void {
  const missing = tools.filter((one) => findTool(one) === undefined)
  if (missing.length === 0) describe(name, suite)
  else if (process.env['CI'] === 'true') {
    test(name, () => {
      throw new Error(`not installed: ${missing.join(', ')}`)
    })
  } else describe.skip(`${name} (not installed: ${missing.join(', ')})`, suite)
}
