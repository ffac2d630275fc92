// `pulseward schema`: prints the JSON Schema of proxy.yaml, for editors and other checkers.
import { parseArgs } from 'node:util'
import { renderJsonSchema } from '../config/reference.ts'
import { UsageError } from './io.ts'
import type { Io } from './io.ts'

export const schemaHelp = `usage: pulseward schema

Prints the JSON Schema (draft 2020-12) of proxy.yaml on standard output. An
editor with the YAML language server completes and checks the file by it:

  pulseward schema > proxy.schema.json
  # yaml-language-server: $schema=proxy.schema.json   (first line of proxy.yaml)

It does not know what options mean together; "pulseward check" does.

  -h, --help  this text

exit status: 0, or 2 for usage
`

/**
 * @returns the exit status.
 * @throws {UsageError} for arguments it does not know.
 */
export async function schema(argv: string[], io: Io): Promise<number> {
  io.stdout(wantsHelp(argv) ? schemaHelp : renderJsonSchema())
  return 0
}

function wantsHelp(argv: string[]): boolean {
  try {
    const { values } = parseArgs({
      args: argv,
      options: { help: { type: 'boolean', short: 'h', default: false } },
    })
    return values.help
  } catch (thrown) {
    throw UsageError.of(thrown, 'schema')
  }
}
