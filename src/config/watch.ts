// Notices that proxy.yaml, or a file it names, holds something else than before.
import { createHash } from 'node:crypto'
import { existsSync, realpathSync, watch } from 'node:fs'
import type { FSWatcher } from 'node:fs'
import { dirname } from 'node:path'
import { PulsewardError } from '../errors.ts'
import { LARGEST_LISTS } from '../tls/crl.ts'
import { readBounded } from './files.ts'

/** Editors and `kubectl` write in several steps; this is how long it has to be quiet, in milliseconds. */
const QUIET = 250
/** How many events put the reading off: a directory that is never quiet does not put it off for ever. */
const PATIENCE = 20

export interface WatchOptions {
  /** Certificates, keys, CA files and revocation lists beside the configuration; absolute paths. */
  readonly files?: readonly string[]
  /** Milliseconds of quiet before the files are read; 250 unless given. */
  readonly debounce?: number
}

/**
 * Calls `onChange` when the bytes of `path` (absolute), or of one of the files, differ from those of the last call;
 * a file that goes away or comes back is a difference. Begin before the first load, lest a change between be missed.
 *
 * Directories are watched, not files: after a rename over a file, or Kubernetes' swap of `..data`, a watch on the
 * file itself stays with the old one.
 *
 * @throws {PulsewardError} `watch-failed`, blame `proxy`, when the system has no watch left.
 */
export function watchConfig(path: string, onChange: () => void, options: WatchOptions = {}): ConfigWatch {
  return new ConfigWatch(path, onChange, options)
}

export class ConfigWatch implements AsyncDisposable {
  readonly #path: string
  readonly #onChange: () => void
  readonly #quiet: number
  readonly #watchers = new Map<string, FSWatcher>()
  #files: readonly string[]
  #known: string
  #timer: NodeJS.Timeout | undefined
  #postponed = 0

  constructor(path: string, onChange: () => void, { files = [], debounce = QUIET }: WatchOptions) {
    this.#path = path
    this.#onChange = onChange
    this.#quiet = debounce
    this.#files = files
    const failure = this.#renew()
    if (failure !== undefined) {
      this.#close()
      const hint = 'raise fs.inotify.max_user_watches and max_user_instances, or set reload.watch to false'
      throw new PulsewardError('watch-failed', 'proxy', 'cannot watch the configuration', {
        hint,
        cause: failure,
      })
    }
    // Watched first, read second: what changes in between is an event.
    this.#known = this.#fingerprint()
  }

  /** Replaces the files watched beside the configuration, after a reload named others; calls nothing. */
  follow(files: readonly string[]): void {
    const changed = this.#known !== this.#fingerprint()
    this.#files = files
    this.#renew()
    // What changed since the load that named these files is still to be told.
    if (changed) this.#notice()
    else this.#known = this.#fingerprint()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close()
  }

  #notice(): void {
    if (this.#timer !== undefined) {
      if (++this.#postponed > PATIENCE) return
      clearTimeout(this.#timer)
    }
    this.#timer = setTimeout(() => this.#settle(), this.#quiet)
  }

  #settle(): void {
    this.#timer = undefined
    this.#postponed = 0
    // What cannot be watched anew keeps its old watch, and is tried again at the next event.
    this.#renew()
    const found = this.#fingerprint()
    if (found === this.#known) return
    this.#known = found
    this.#onChange()
  }

  /** Watches the directories as they are now: a directory made anew is not the one that was watched. */
  #renew(): unknown {
    let failure: unknown
    const directories = new Set([this.#path, ...this.#files].flatMap(directoriesOf))
    for (const directory of directories) {
      try {
        const watcher = watch(directory, { persistent: false }, () => this.#notice())
        watcher.on('error', () => this.#notice())
        this.#watchers.get(directory)?.close()
        this.#watchers.set(directory, watcher)
      } catch (thrown) {
        failure ??= thrown
      }
    }
    for (const [directory, watcher] of this.#watchers) {
      if (directories.has(directory)) continue
      watcher.close()
      this.#watchers.delete(directory)
    }
    return failure
  }

  #fingerprint(): string {
    return [this.#path, ...this.#files].map(digest).join()
  }

  #close(): void {
    clearTimeout(this.#timer)
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
  }
}

/** Where a change of the file shows: beside its name, and beside what its links lead to. */
function directoriesOf(file: string): string[] {
  const beside = nearest(dirname(file))
  try {
    return [beside, dirname(realpathSync(file))]
  } catch {
    // It is away for now; its name comes back in the directory, or the directory in the one above.
    return [beside]
  }
}

function nearest(directory: string): string {
  return existsSync(directory) ? directory : nearest(dirname(directory))
}

function digest(file: string): string {
  try {
    return createHash('sha256').update(readBounded(file, LARGEST_LISTS)).digest('hex')
  } catch (thrown) {
    if (thrown instanceof PulsewardError) return thrown.message
    throw thrown
  }
}
