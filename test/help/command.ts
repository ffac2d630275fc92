// A command called as main calls it, in a folder of its own; what it printed is returned.

import type { Io } from '../../src/cli/io.ts'
import { Folder } from './folder.ts'

export interface Printed {
  readonly status: number
  readonly out: string
  readonly err: string
}

/** A folder with these files, and the command in it. */
export async function commandIn(
  command: (argv: string[], io: Io) => Promise<number>,
  files: Readonly<Record<string, string>>,
) {
  const folder = await Folder.make(files)
  return {
    folder,
    async run(...args: readonly string[]): Promise<Printed> {
      const printed = { out: '', err: '' }
      const status = await command([...args], {
        stdout: (text) => void (printed.out += text),
        stderr: (text) => void (printed.err += text),
        env: {},
        cwd: folder.path,
      })
      return { status, ...printed }
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}
