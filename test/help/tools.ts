// The programs of other people that some suites need, and what becomes of a suite whose programs are not there.

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe, test } from 'vitest'

/** Where Debian puts servers; not on the path of ordinary users. */
const serverFolders = ['/usr/sbin', '/usr/local/sbin']

/** The program's path, or undefined. */
export function findTool(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...serverFolders]
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

/** The program's path; throws where it is missing, which `describeWith` rules out. */
export function tool(name: string): string {
  const path = findTool(name)
  if (path === undefined) throw new Error(`"${name}" is not installed`)
  return path
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

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
