// The bytes of MQTT control packets, put together without any MQTT library: valid ones, and broken ones on demand.

/** A number is one byte, a string its UTF-8 bytes without a length, anything else goes in as it is. */
export type Part = number | string | Uint8Array

export type Level = 3 | 4 | 5

export function bytes(...parts: readonly Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'number') return Buffer.from([part])
      return typeof part === 'string' ? Buffer.from(part, 'utf8') : part
    }),
  )
}

export function uint16(value: number): Buffer {
  const out = Buffer.alloc(2)
  out.writeUInt16BE(value)
  return out
}

export function uint32(value: number): Buffer {
  const out = Buffer.alloc(4)
  out.writeUInt32BE(value)
  return out
}

/** A variable byte integer; `size` pads it with needless bytes, and may go beyond the four that the standard allows. */
export function varint(value: number, size = 1): Buffer {
  const out: number[] = []
  for (let left = value; out.length < size || left > 0; left = Math.floor(left / 128)) out.push(left % 128)
  return Buffer.from(out.map((byte, index) => (index < out.length - 1 ? byte | 0x80 : byte)))
}

/** A field with its two-byte length in front; `claimed` is a length that is not the true one. */
export function field(content: string | Uint8Array, claimed?: number): Buffer {
  const content8 = Buffer.from(content as Uint8Array)
  return bytes(uint16(claimed ?? content8.length), content8)
}

/** A whole packet: first byte, remaining length, body. */
export function packet(first: number, ...body: readonly Part[]): Buffer {
  const whole = bytes(...body)
  return bytes(first, varint(whole.length), whole)
}

/** A property block with its length. */
export function block(...properties: readonly Part[]): Buffer {
  const whole = bytes(...properties)
  return bytes(varint(whole.length), whole)
}

export interface ConnectShape {
  readonly version: Level
  readonly clientId?: string
  readonly clean?: boolean
  readonly keepAlive?: number
  readonly will?: {
    readonly topic: string
    readonly payload: Uint8Array
    readonly qos: number
    readonly retain: boolean
    readonly properties?: Uint8Array
  }
  readonly username?: string
  readonly password?: Uint8Array
  /** The content of the property block, without its length; MQTT 5.0 only. */
  readonly properties?: Uint8Array
}

export function connectPacket(shape: ConnectShape): Buffer {
  const { version, clientId = 'pump-7', clean = true, keepAlive = 60, will, username, password } = shape
  const flags =
    (clean ? 0x02 : 0) |
    (will === undefined ? 0 : 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0)) |
    (password === undefined ? 0 : 0x40) |
    (username === undefined ? 0 : 0x80)
  return packet(
    0x10,
    field(version === 3 ? 'MQIsdp' : 'MQTT'),
    version,
    flags,
    uint16(keepAlive),
    version === 5 ? block(shape.properties ?? '') : '',
    field(clientId),
    will === undefined
      ? ''
      : bytes(version === 5 ? block(will.properties ?? '') : '', field(will.topic), field(will.payload)),
    username === undefined ? '' : field(username),
    password === undefined ? '' : field(password),
  )
}

export function connackPacket(
  version: Level,
  code = 0,
  { sessionPresent = false, properties = '' }: { sessionPresent?: boolean; properties?: Part } = {},
): Buffer {
  return packet(0x20, sessionPresent ? 1 : 0, code, version === 5 ? block(properties) : '')
}

export interface PublishShape {
  readonly version: Level
  readonly topic: string
  readonly payload?: Part
  readonly qos?: 0 | 1 | 2
  readonly dup?: boolean
  readonly retain?: boolean
  /** Written where QoS is above 0. */
  readonly id?: number
  readonly properties?: Uint8Array
}

export function publishPacket(shape: PublishShape): Buffer {
  const { version, topic, payload = '', qos = 0, dup = false, retain = false, id = 1 } = shape
  return packet(
    0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0),
    field(topic),
    qos > 0 ? uint16(id) : '',
    version === 5 ? block(shape.properties ?? '') : '',
    payload,
  )
}

/** SUBSCRIBE with an options byte behind each filter. */
export function subscribePacket(
  version: Level,
  id: number,
  filters: readonly (readonly [filter: string, options: number])[],
  properties: Part = '',
): Buffer {
  return packet(
    0x82,
    uint16(id),
    version === 5 ? block(properties) : '',
    ...filters.flatMap(([filter, options]) => [field(filter), options]),
  )
}

export function unsubscribePacket(
  version: Level,
  id: number,
  filters: readonly string[],
  properties: Part = '',
): Buffer {
  return packet(
    0xa2,
    uint16(id),
    version === 5 ? block(properties) : '',
    ...filters.map((filter) => field(filter)),
  )
}

export const pingreqPacket: Buffer = packet(0xc0)
export const pingrespPacket: Buffer = packet(0xd0)
