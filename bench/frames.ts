// MQTT 3.1.1 packets as bytes, built here on their own so that the load shares no code with what it measures.

/** Long enough that no proxy under test lets an idle connection go during a run, in seconds. */
const KEEP_ALIVE = 3_600
const TOPIC = 'ward/7/bed/12/hr'

export const CONNACK = Uint8Array.of(0x20, 2, 0, 0)
export const PINGRESP = Uint8Array.of(0xd0, 0)
export const DISCONNECT = Uint8Array.of(0xe0, 0)

/** A CONNECT with a clean session (MQTT 3.1.1, 3.1). */
export function connectPacket(clientId: string): Buffer {
  const head = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, KEEP_ALIVE >> 8, KEEP_ALIVE & 0xff])
  return packet(0x10, Buffer.concat([head, lengthPrefixed(clientId)]))
}

/** A PUBLISH at QoS 0 on a topic such as a bedside monitor's, with `payload` bytes of payload. */
export function publishPacket(payload: number): Buffer {
  return packet(0x30, Buffer.concat([lengthPrefixed(TOPIC), Buffer.alloc(payload, 0x37)]))
}

/** A PUBLISH at QoS 1; `packetId` from 1 to 65,535. */
export function publishOncePacket(packetId: number, payload: number): Buffer {
  const id = Buffer.from([packetId >> 8, packetId & 0xff])
  return packet(0x32, Buffer.concat([lengthPrefixed(TOPIC), id, Buffer.alloc(payload, 0x37)]))
}

/** The PUBACK to it. */
export function pubackPacket(packetId: number): Buffer {
  return packet(0x40, Buffer.from([packetId >> 8, packetId & 0xff]))
}

/** A SUBSCRIBE that asks for QoS 0 of every filter. */
export function subscribePacket(packetId: number, filters: readonly string[]): Buffer {
  const asked = filters.flatMap((filter) => [lengthPrefixed(filter), Buffer.from([0])])
  return packet(0x82, Buffer.concat([Buffer.from([packetId >> 8, packetId & 0xff]), ...asked]))
}

/** The SUBACK to it. */
export function subackPacket(packetId: number, filters: number): Buffer {
  return packet(0x90, Buffer.from([packetId >> 8, packetId & 0xff, ...Buffer.alloc(filters)]))
}

/** As many whole copies of `one` as fit into `size` bytes, at least one. */
export function repeated(one: Buffer, size: number): Buffer {
  const copies = Math.max(1, Math.floor(size / one.length))
  return Buffer.concat(Array.from({ length: copies }, () => one))
}

function packet(firstByte: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([firstByte, ...remainingLength(body.length)]), body])
}

/** MQTT 3.1.1, 2.2.3: seven bits a byte, lowest first. */
function remainingLength(length: number): number[] {
  const bytes: number[] = []
  let rest = length
  do {
    const low = rest % 128
    rest = Math.floor(rest / 128)
    bytes.push(rest > 0 ? low | 0x80 : low)
  } while (rest > 0)
  return bytes
}

function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}
