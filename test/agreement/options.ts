// The command line of the agreement run.

import { parseArgs } from 'node:util'
import { messageOf } from '../../src/errors.ts'
import { presets, type Preset } from '../../src/mqtt/rulebook.ts'

export interface Options {
  /** Where the sequences are. */
  readonly folder: string
  /** Sends them through a running Pulseward as well. */
  readonly live: boolean
  readonly preset: Preset
  /** Puts the result into docs/agreement.md. */
  readonly write: boolean
}

export const usage = `usage: npm run agreement -- FOLDER [--live] [--preset ${presets.join('|')}] [--write]

  FOLDER    holds Mosquitto's packet sequences: the test/ of a clone of eclipse-mosquitto/mosquitto
  --live    also sends them through a running Pulseward, with a real mosquitto behind it
  --preset  the rules in force, standard by default
  --write   puts the result into docs/agreement.md
`

/** @throws {RangeError} quoting what means nothing, fit to be shown. */
export function readOptions(argv: readonly string[]): Options {
  const { values, positionals } = parse(argv)
  const [folder, more] = positionals
  if (folder === undefined) throw new RangeError('no folder')
  if (more !== undefined) throw new RangeError(`one folder too many: "${more}"`)
  const wanted = values.preset ?? 'standard'
  const preset = presets.find((name) => name === wanted)
  if (preset === undefined) throw new RangeError(`not a preset: "${wanted}"`)
  return { folder, live: values.live ?? false, preset, write: values.write ?? false }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        live: { type: 'boolean' },
        preset: { type: 'string' },
        write: { type: 'boolean' },
      },
    })
  } catch (error) {
    throw new RangeError(messageOf(error), { cause: error })
  }
}
