// What CONNECT tells of the software that made it: a compact text, without a value that names a person or a secret.

import { skipVarint, varintAt } from '../mqtt/properties.ts'
import { uint16 } from '../mqtt/text.ts'

/** A CONNECT taken apart as far as a ledger wants it; the parts of the login lie in the packet, nothing is copied. */
export interface ConnectTraits {
  /** Version, flags, keep alive, shape of the client identifier, will and properties. */
  readonly profile: string
  /** User name and password as they lie on the wire, each with its length; undefined where there are none. */
  readonly login: Buffer | undefined
}

/** Longest profile; what is longer is cut, which still compares. */
const longest = 160
/** Property identifiers taken into the profile, in the order they came: an order is a habit of a library. */
const mostProperties = 24

/** Reads a CONNECT frame that passed every check; `body` is where its variable header begins. */
export function connectTraits(bytes: Buffer, body: number, end: number): ConnectTraits {
  const name = body + 2 + uint16(bytes, body)
  const version = bytes[name] ?? 0
  const flags = bytes[name + 1] ?? 0
  let at = name + 4
  let properties = ''
  if (version === 5) {
    const next = afterProperties(bytes, at, end)
    properties = propertiesOf(bytes, skipVarint(bytes, at, end), next)
    at = next
  }
  const shape = shapeOf(bytes.toString('latin1', at + 2, at + 2 + uint16(bytes, at)))
  at += 2 + uint16(bytes, at)
  let will = ''
  if ((flags & 0x04) !== 0) {
    if (version === 5) {
      const next = afterProperties(bytes, at, end)
      will = `;w${propertiesOf(bytes, skipVarint(bytes, at, end), next)}`
      at = next
    }
    at += 2 + uint16(bytes, at)
    at += 2 + uint16(bytes, at)
  }
  const keepAlive = uint16(bytes, name + 2)
  const profile = `v${version};f${flags.toString(16)};k${keepAlive};i${shape};p${properties}${will}`
  const login = (flags & 0xc0) === 0 || at >= end ? undefined : bytes.subarray(at, end)
  return { profile: profile.slice(0, longest), login }
}

/** Runs of letters as `a`, hexadecimal runs with both kinds as `x`, digits as `9`, each with its length. */
export function shapeOf(clientId: string): string {
  return clientId.slice(0, 64).replaceAll(/[0-9A-Za-z]+|[^0-9A-Za-z]/g, (run) => {
    if (run.length === 1 && !/[0-9A-Za-z]/.test(run)) return /[-_.:/@]/.test(run) ? run : '?'
    const kind = /^\d+$/.test(run)
      ? '9'
      : /^[A-Za-z]+$/.test(run)
        ? 'a'
        : /^[0-9A-Fa-f]+$/.test(run)
          ? 'x'
          : 'n'
    return `${kind}${run.length}`
  })
}

function afterProperties(bytes: Buffer, at: number, end: number): number {
  return skipVarint(bytes, at, end) + varintAt(bytes, at)
}

/** The identifiers of a property block that passed every check, in order, in hexadecimal. */
function propertiesOf(bytes: Buffer, from: number, to: number): string {
  let text = ''
  let at = from
  for (let count = 0; at < to && count < mostProperties; count += 1) {
    const id = bytes[at]!
    text += `${text === '' ? '' : '.'}${id.toString(16)}`
    at = afterValue(bytes, id, at + 1, to)
  }
  return text
}

/** Where a property's value ends (MQTT 5.0, 2.2.2.2); identifiers of CONNECT and of a will only. */
function afterValue(bytes: Buffer, id: number, at: number, end: number): number {
  switch (id) {
    case 0x01: // payload format
    case 0x17: // request problem information
    case 0x19: // request response information
      return at + 1
    case 0x21: // receive maximum
    case 0x22: // topic alias maximum
      return at + 2
    case 0x02: // message expiry
    case 0x11: // session expiry
    case 0x18: // will delay
    case 0x27: // maximum packet size
      return at + 4
    case 0x26: {
      // user property
      const value = at + 2 + uint16(bytes, at)
      return value + 2 + uint16(bytes, value)
    }
    case 0x03: // content type
    case 0x08: // response topic
    case 0x09: // correlation data
    case 0x15: // authentication method
    case 0x16: // authentication data
      return at + 2 + uint16(bytes, at)
    default:
      return end
  }
}
