// The version of Pulseward, as package.json has it, and the day it is of.

import { readFileSync } from 'node:fs'

const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

/** The day of this release, in milliseconds since 1970: no clock that is right says less. */
export const releasedAt = Date.UTC(2026, 10, 22)

export const version = String(Reflect.get(Object(manifest), 'version'))
