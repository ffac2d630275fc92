// `pulseward patches`: lists the vulnerabilities that are stopped on the wire, and how far proxy.yaml stops them.
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { classSchema } from '../config/inspection-schema.ts'
import { loadConfig } from '../config/load.ts'
import { inspectionOf } from '../config/rulebooks.ts'
import type { Config } from '../config/schema.ts'
import { classLimitOf, weakest } from '../mqtt/patch.ts'
import type { Patch } from '../mqtt/patch.ts'
import { patches as allPatches } from '../mqtt/patches.ts'
import type { Mode, Rule } from '../mqtt/rule.ts'
import { UsageError } from './io.ts'
import type { Io } from './io.ts'
import { patchesJson, patchesText } from './patches-report.ts'
import type { Column, State } from './patches-report.ts'

export const patchesHelp = `usage: pulseward patches [-c FILE] [--json]

Lists the published vulnerabilities of brokers, libraries and devices whose
packet Pulseward knows, the rule that stops each, and what that rule does under
a configuration: proxy.yaml, or the preset "standard" where there is none.

  enforce   the packet does not go on      always  stopped before any rule
  report    it goes on and is told of      no class  no class of devices says
  off       it goes on                               what they can take

  -c, --config FILE  the configuration, instead of proxy.yaml
      --json         one JSON document on standard output instead of text:
                     { file, patches: [{ id, product, versions, direction,
                     packet, rules, guard, confidence, gap, vector, modes }],
                     summary }; modes and summary by listener
  -h, --help         this text

exit status: 0 listed; 1 the configuration has mistakes; 2 usage
`

const usual = 'proxy.yaml'

/**
 * @returns the exit status.
 * @throws {UsageError} for arguments it does not know; {ConfigError} for a configuration that cannot be used.
 */
export async function patches(argv: string[], io: Io): Promise<number> {
  const { config, json, help } = readArguments(argv)
  if (help) {
    io.stdout(patchesHelp)
    return 0
  }
  const file = config ?? (existsSync(resolve(io.cwd, usual)) ? usual : undefined)
  const columns = file === undefined ? defaults() : columnsOf(loadConfig(file, io.env, io.cwd).config)
  io.stdout(json ? patchesJson(allPatches, columns, file) : patchesText(allPatches, columns, file))
  return 0
}

function readArguments(argv: string[]): { config?: string; json: boolean; help: boolean } {
  try {
    const { values } = parseArgs({
      args: argv,
      options: {
        config: { type: 'string', short: 'c' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    return values
  } catch (thrown) {
    throw UsageError.of(thrown, 'patches')
  }
}

/** The modes of the preset that stands where nobody asks for another. */
function defaults(): Column[] {
  const states = allPatches.map((patch) => stateOf(patch, ({ mode }) => mode.standard, []))
  return [{ listener: 'default', states }]
}

function columnsOf(config: Config): Column[] {
  return config.listeners.map((listener) => {
    const { modes } = inspectionOf(listener, config)
    const modeOf = ({ id, mode }: Rule): Mode => modes.get(id) ?? mode.standard
    return {
      listener: listener.name,
      states: allPatches.map((patch) => stateOf(patch, modeOf, config.classes)),
    }
  })
}

function stateOf(patch: Patch, modeOf: (rule: Rule) => Mode, classes: Config['classes']): State {
  if (patch.guard !== undefined) return 'always'
  const mode = weakest(patch.rules.map(modeOf))
  return mode !== 'off' && !patch.rules.every((rule) => isLimited(rule, classes)) ? 'no class' : mode
}

/** A class that does not say what its devices can take. */
const anything = classSchema.parse({ name: 'anything', clientIds: ['*'] })

/** Whether a rule has the limit it goes by, where only a class of devices can give it one. */
function isLimited(rule: Rule, classes: Config['classes']): boolean {
  const limit = classLimitOf(rule)
  return limit === undefined || classes.some((one) => one[limit] < anything[limit])
}
