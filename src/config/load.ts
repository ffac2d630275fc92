// From a YAML file to a Config, or to everything that is wrong with the file, each with its line and column.
import { createHash } from 'node:crypto'
import { dirname, resolve } from 'node:path'
import { PulsewardError } from '../errors.ts'
import { contradictions } from './contradictions.ts'
import { ConfigError, aboutFile } from './diagnostics.ts'
import type { Diagnostic } from './diagnostics.ts'
import type { Environment } from './environment.ts'
import { checkFiles, readBounded } from './files.ts'
import { read } from './issues.ts'
import { partsOf } from './parts.ts'
import { filesOf, resolvePaths } from './paths.ts'
import { configSchema } from './schema.ts'
import type { Config } from './schema.ts'
import { Source } from './source.ts'

export interface Loaded {
  readonly config: Config
  readonly text: string
  /** Of the bytes of the file, in hex. */
  readonly sha256: string
  readonly warnings: readonly Diagnostic[]
  /** Absolute paths of the certificates, keys and CA files it names. */
  readonly files: readonly string[]
}

/**
 * Reads, fills in, checks and resolves a configuration file. `path` appears in diagnostics as given and is
 * relative to `directory`.
 *
 * @throws {ConfigError} with every mistake at once.
 */
export function loadConfig(path: string, environment: Environment, directory = '.'): Loaded {
  const file = resolve(directory, path)
  const bytes = readConfig(path, file)
  const source = Source.parse(path, bytes)
  const root = source.fillIn(environment)
  const parts = partsOf(root)
  const structure = read(configSchema, root)
  const diagnostics = source.place([
    ...('problems' in structure ? structure.problems : []),
    ...contradictions(parts),
    ...checkFiles(parts, dirname(file)),
  ])
  if ('problems' in structure || diagnostics.some(({ severity }) => severity === 'error')) {
    throw new ConfigError(path, diagnostics)
  }
  const config = resolvePaths(structure.value, dirname(file))
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return { config, text: source.text, sha256, warnings: diagnostics, files: filesOf(config) }
}

/**
 * The state directory that a configuration names, whatever else is wrong with it: for commands that put right what is.
 *
 * @throws {ConfigError} where the file cannot be read, or `state` cannot be a path.
 */
export function loadState(path: string, environment: Environment, directory = '.'): string {
  const file = resolve(directory, path)
  const source = Source.parse(path, readConfig(path, file))
  const state = read(configSchema.shape.state, source.fillIn(environment)['state'], ['state'])
  if ('problems' in state) throw new ConfigError(path, source.place(state.problems))
  return resolve(dirname(file), state.value)
}

function readConfig(path: string, file: string): Buffer {
  try {
    return readBounded(file)
  } catch (thrown) {
    if (!(thrown instanceof PulsewardError)) throw thrown
    throw new ConfigError(path, [aboutFile(path, thrown.message, 'name another with --config FILE')])
  }
}
