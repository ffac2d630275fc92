// `pulseward devices`: lists, shows, approves, forgets and exports the devices of the ledger, beside a running proxy.
import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.ts'
import { messageOf, PulsewardError } from '../errors.ts'
import { keyOfRecord, type DeviceRecord } from '../identity/device.ts'
import { leaveOrder, readCatalogue, type Catalogue } from '../ledger/catalogue.ts'
import { printable } from '../printable.ts'
import { exportCsv, exportJson, idOf, listText, showText } from './devices-report.ts'
import { UsageError, userName } from './io.ts'
import type { Io } from './io.ts'

export const devicesHelp = `usage: pulseward devices list    [-c FILE]
       pulseward devices show    [-c FILE] [--upstream NAME] DEVICE
       pulseward devices approve [-c FILE] [--upstream NAME] DEVICE
       pulseward devices forget  [-c FILE] [--upstream NAME] DEVICE
       pulseward devices export  [-c FILE] [--csv | --json]

The ledger knows every device by its client identifier, network card, address,
network stack, CONNECT and login. The proxy may run meanwhile: it carries out
approve and forget within a second; one that is stopped does so at its start.
Run this as the user that runs the proxy.

  list     the devices, and what is said of them
  show     one device: what is known of it and what speaks against it
  approve  vouches for the device as it was seen last: what was held against it
           becomes known, and the suspicion ends; it is never pushed out
  forget   removes the device; it is learnt anew when it comes back
  export   all of it, for other programs

  DEVICE                 its client identifier, or its ID of the list
      --upstream NAME    where two upstreams have a device of that identifier
      --csv, --json      export: the format; JSON where none is given
  -c, --config FILE      the configuration, instead of proxy.yaml
  -h, --help             this text

exit status: 0 done; 1 it cannot be done; 2 usage
`

interface Arguments {
  readonly command: 'list' | 'show' | 'approve' | 'forget' | 'export'
  readonly device: string
  readonly upstream: string | undefined
  readonly config: string
  readonly csv: boolean
}

/**
 * @returns the exit status.
 * @throws {UsageError} for arguments that make no sense; {PulsewardError} for a ledger or device that is not there;
 *   {ConfigError} for a configuration that cannot be used.
 */
export async function devices(argv: string[], io: Io): Promise<number> {
  const given = readArguments(argv)
  if (given === 'help') {
    io.stdout(devicesHelp)
    return 0
  }
  const { state } = loadConfig(given.config, io.env, io.cwd).config
  const found = catalogueOf(state)
  const now = Date.now()
  if (given.command === 'list') io.stdout(listText(found.devices, now))
  else if (given.command === 'export') {
    io.stdout(given.csv ? exportCsv(found.devices, now) : exportJson(found.devices, now))
  } else {
    const record = pick(found.devices, given)
    if (given.command === 'show') io.stdout(showText(record, found.orders, now))
    else order(state, given.command, record, io)
  }
  return 0
}

function order(state: string, action: 'approve' | 'forget', record: DeviceRecord, io: Io): void {
  ledger(() => leaveOrder(state, { action, key: keyOfRecord(record), at: Date.now(), by: userName() }))
  const what = action === 'approve' ? 'approved as it was seen last' : 'forgotten'
  io.stdout(`${printable(record.clientId)}: ${what}; a running proxy takes it into force within a second\n`)
}

function pick(all: readonly DeviceRecord[], { device, upstream }: Arguments): DeviceRecord {
  const found = all.filter(
    (one) =>
      (one.clientId === device || idOf(one) === device) && (upstream === undefined || one.realm === upstream),
  )
  const [record] = found
  if (record === undefined) {
    throw new PulsewardError('device-unknown', 'config', `there is no device "${printable(device)}"`, {
      hint: 'see "pulseward devices list"',
    })
  }
  if (found.length === 1) return record
  const realms = found.map(({ realm }) => printable(realm)).join(', ')
  throw new PulsewardError(
    'device-ambiguous',
    'config',
    `several upstreams have a device "${printable(device)}"`,
    {
      hint: `say --upstream with one of ${realms}`,
    },
  )
}

function catalogueOf(state: string): Catalogue {
  return ledger(() => readCatalogue(state))
}

function ledger<Value>(work: () => Value): Value {
  try {
    return work()
  } catch (error) {
    const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (isAbsent) {
      throw new PulsewardError('ledger-unreadable', 'config', 'there is no ledger yet', {
        hint: 'the proxy begins it when it first starts with identity.mode report or enforce',
        cause: error,
      })
    }
    throw new PulsewardError(
      'ledger-unreadable',
      'config',
      `the ledger cannot be used: ${messageOf(error)}`,
      {
        hint: 'run this as the user that runs the proxy',
        cause: error,
      },
    )
  }
}

function readArguments(argv: string[]): Arguments | 'help' {
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c', default: 'proxy.yaml' },
        upstream: { type: 'string' },
        csv: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return 'help'
    const [command, device, ...rest] = positionals
    const { config, upstream, csv, json } = values
    const isOfOne = command === 'show' || command === 'approve' || command === 'forget'
    if (!isOfOne && command !== 'list' && command !== 'export')
      throw new Error('expected list, show, approve, forget or export')
    if (rest.length > 0 || (device !== undefined) !== isOfOne)
      throw new Error('show, approve and forget take one DEVICE, nobody else does')
    if (upstream !== undefined && !isOfOne) throw new Error('--upstream belongs to show, approve and forget')
    if ((csv || json) && command !== 'export') throw new Error('--csv and --json belong to export')
    if (csv && json) throw new Error('expected --csv or --json, not both')
    return { command, device: device ?? '', upstream, config, csv }
  } catch (thrown) {
    throw new UsageError(messageOf(thrown), 'see "pulseward devices --help"')
  }
}
