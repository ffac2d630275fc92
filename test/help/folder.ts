// A private temporary folder that goes with its scope.

import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export class Folder implements AsyncDisposable {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  /** With these files in it, readable by the owner alone. */
  static async make(files: Readonly<Record<string, string>> = {}): Promise<Folder> {
    const folder = new Folder(await mkdtemp(join(tmpdir(), 'pulseward-test-')))
    for (const [name, content] of Object.entries(files)) await folder.write(name, content)
    return folder
  }

  at(name: string): string {
    return join(this.path, name)
  }

  /** Puts a file there in one step, as careful editors do: whoever reads sees the old or the new one, never half. */
  async write(name: string, content: string): Promise<string> {
    const fresh = this.at(`${name}.new`)
    await mkdir(dirname(fresh), { recursive: true, mode: 0o700 })
    await writeFile(fresh, content, { mode: 0o600 })
    await rename(fresh, this.at(name))
    return this.at(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true })
  }
}
