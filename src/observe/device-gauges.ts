// The gauges of the devices, their ledger and the neighbour table, read when somebody scrapes.

import { single } from './samples.ts'
import { deviceStandings } from './table-devices.ts'

/** The devices, as they stand when somebody scrapes. */
export interface DeviceGauges {
  readonly devices: Readonly<Record<(typeof deviceStandings)[number], number>>
  readonly limit: number
  readonly bytes: number
  readonly waiting: number
  readonly isWatching: boolean
  readonly neighbours: number
}

/** Before a ledger is opened. */
export const noDevices: DeviceGauges = {
  devices: { approved: 0, known: 0, new: 0, suspected: 0 },
  limit: 0,
  bytes: 0,
  waiting: 0,
  isWatching: false,
  neighbours: 0,
}

export function deviceSamples({ devices, limit, bytes, waiting, isWatching, neighbours }: DeviceGauges) {
  return {
    pulseward_devices: deviceStandings.map((standing) => ({
      labels: { standing },
      value: devices[standing],
    })),
    pulseward_devices_limit: single(limit),
    pulseward_ledger_bytes: single(bytes),
    pulseward_ledger_waiting: single(waiting),
    pulseward_neighbour_watch: single(isWatching ? 1 : 0),
    pulseward_neighbours: single(neighbours),
  }
}
