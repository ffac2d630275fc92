// A TCP segment where it lies in a captured packet: its addresses, numbers, flags and payload; IPv4 and IPv6.

/** What an IP packet turned out to be. */
export type SegmentKind = 'tcp' | 'fragment' | 'other' | 'short'

const tcp = 6
/** IPv6 extension headers that may stand before TCP (RFC 8200, 4.1; RFC 4302). */
const hopByHop = 0
const routing = 43
const fragment = 44
const authentication = 51
const destinationOptions = 60
/** More than this many are nobody's mail. */
const maxExtensions = 8

/** One that is filled in again for every packet, so that reading costs no allocation. */
export class Segment {
  bytes: Buffer = Buffer.alloc(0)
  /** Both addresses, source first, and both ports: offsets in `bytes`. */
  addresses = 0
  addressBytes = 0
  ports = 0
  sequence = 0
  acknowledged = 0
  isSyn = false
  isFin = false
  isRst = false
  isAck = false
  /** The payload as far as it was captured, and how many bytes of it were not. */
  start = 0
  end = 0
  cut = 0

  /** Reads the IP packet at `at`; the fields are good where it returns `tcp`. */
  read(bytes: Buffer, at: number): SegmentKind {
    this.bytes = bytes
    return bytes[at]! >> 4 === 4 ? this.#readIpv4(bytes, at) : this.#readIpv6(bytes, at)
  }

  get size(): number {
    return this.end - this.start
  }

  /** Source and destination of this segment as a key, and those of its answers. Ports come last, 4 characters. */
  get key(): string {
    const { bytes, addresses, addressBytes, ports } = this
    return (
      bytes.toString('latin1', addresses, addresses + 2 * addressBytes) +
      bytes.toString('latin1', ports, ports + 4)
    )
  }

  get answerKey(): string {
    const { bytes, addresses, addressBytes, ports } = this
    const middle = addresses + addressBytes
    return (
      bytes.toString('latin1', middle, middle + addressBytes) +
      bytes.toString('latin1', addresses, middle) +
      bytes.toString('latin1', ports + 2, ports + 4) +
      bytes.toString('latin1', ports, ports + 2)
    )
  }

  #readIpv4(bytes: Buffer, at: number): SegmentKind {
    if (bytes.length - at < 20) return 'short'
    const header = (bytes[at]! & 0x0f) * 4
    if (header < 20) return 'short'
    if (bytes[at + 9] !== tcp) return 'other'
    // More fragments, or an offset (RFC 791, 3.1).
    if ((bytes.readUInt16BE(at + 6) & 0x3fff) !== 0) return 'fragment'
    this.addresses = at + 12
    this.addressBytes = 4
    return this.#readTcp(bytes, at + header, endOf(bytes, at, bytes.readUInt16BE(at + 2)))
  }

  #readIpv6(bytes: Buffer, at: number): SegmentKind {
    if (bytes.length - at < 40) return 'short'
    const payload = bytes.readUInt16BE(at + 4)
    const end = endOf(bytes, at, payload === 0 ? 0 : payload + 40)
    this.addresses = at + 8
    this.addressBytes = 16
    let next = bytes[at + 6]!
    let header = at + 40
    for (let i = 0; i < maxExtensions && next !== tcp; i++) {
      if (header + 8 > bytes.length) return 'short'
      // An "atomic" fragment is whole (RFC 6946).
      if (next === fragment && (bytes.readUInt16BE(header + 2) & 0xfff9) !== 0) return 'fragment'
      const size = extensionSize(next, bytes[header + 1]!)
      if (size === 0) return 'other'
      next = bytes[header]!
      header += size
    }
    return next === tcp ? this.#readTcp(bytes, header, end) : 'other'
  }

  /** `end` is where the IP packet ends, or would if all of it had been captured. */
  #readTcp(bytes: Buffer, at: number, end: number): SegmentKind {
    if (bytes.length - at < 20) return 'short'
    const start = at + (bytes[at + 12]! >> 4) * 4
    if (start < at + 20 || start > end) return 'short'
    this.ports = at
    this.sequence = bytes.readUInt32BE(at + 4)
    this.acknowledged = bytes.readUInt32BE(at + 8)
    const flags = bytes[at + 13]!
    this.isFin = (flags & 0x01) !== 0
    this.isSyn = (flags & 0x02) !== 0
    this.isRst = (flags & 0x04) !== 0
    this.isAck = (flags & 0x10) !== 0
    this.start = Math.min(start, bytes.length)
    this.end = Math.min(end, bytes.length)
    this.cut = end - start - this.size
    return 'tcp'
  }
}

/** A length of 0 is that of a packet which the network card was to cut up: then all that was captured belongs to it. */
function endOf(bytes: Buffer, at: number, length: number): number {
  return length === 0 ? bytes.length : at + length
}

/** Bytes of an extension header whose length field is `length`; 0 where it is none that may stand before TCP. */
function extensionSize(type: number, length: number): number {
  if (type === fragment) return 8
  if (type === authentication) return (length + 2) * 4
  return type === hopByHop || type === routing || type === destinationOptions ? (length + 1) * 8 : 0
}
