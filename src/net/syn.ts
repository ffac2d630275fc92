// Reads the SYN a connection began with, as TCP_SAVED_SYN keeps it: how far away its sender is, and what stack it has.

/** What a SYN shows. Only `hops` depends on where the sender is; the rest is how its system was built. */
export interface Syn {
  /** Of the last station it came through, `00:00:5e:00:53:01`; undefined where the kernel kept no Ethernet header. */
  readonly mac: string | undefined
  readonly ip: 4 | 6
  /** Time to live (IPv4) or hop limit (IPv6), as it arrived. */
  readonly ttl: number
  /** What it began with, as far as common systems go: 32, 64, 128 or 255. */
  readonly initialTtl: number
  /** Routers on the way, from the two before. */
  readonly hops: number
  /** Don't fragment (IPv4); IPv6 never fragments on the way. */
  readonly df: boolean
  /** Asks for explicit congestion notification (RFC 3168, 6.1.1). */
  readonly ecn: boolean
  readonly window: number
  /** Largest segment it takes; undefined where it does not say. */
  readonly mss: number | undefined
  /** Window scale (RFC 7323); undefined where it has none. */
  readonly scale: number | undefined
  /** One letter an option in the order they come; see `letters`. */
  readonly options: string
}

/** Option kinds (IANA, TCP parameters); any other is its number in brackets, and `!` one that does not fit. */
const letters: Readonly<Record<number, string>> = { 0: 'E', 1: 'N', 2: 'M', 3: 'W', 4: 'S', 8: 'T', 34: 'F' }

const ethernetSize = 14

/** Undefined where the bytes are not one IPv4 or IPv6 header, perhaps behind Ethernet's, and one TCP header. */
export function parseSyn(bytes: Uint8Array): Syn | undefined {
  return parseIp(bytes, 0) ?? (isEthernet(bytes) ? parseIp(bytes, ethernetSize) : undefined)
}

/** One line of a fixed form for the system's part of a SYN, without what a longer way changes: equal stacks, equal text. */
export function synProfile({ ip, initialTtl, df, ecn, window, scale, mss, options }: Syn): string {
  const flags = `${df ? 'd' : ''}${ecn ? 'e' : ''}`
  return `ip${ip} ttl${initialTtl} win${window} scale${scale ?? '-'} mss${mss ?? '-'} ${options || '-'} ${flags || '-'}`
}

function parseIp(bytes: Uint8Array, start: number): Syn | undefined {
  const first = bytes[start] ?? 0
  const mac = start === 0 ? undefined : macText(bytes.subarray(6, 12))
  if (first >> 4 === 4 && bytes.length >= start + 20) {
    const df = (bytes[start + 6]! & 0x40) !== 0
    return parseTcp(bytes, start + (first & 15) * 4, { mac, ip: 4, ttl: bytes[start + 8]!, df })
  }
  // A SYN behind extension headers is not kept apart here: nobody's devices send one.
  if (first >> 4 === 6 && bytes.length >= start + 40 && bytes[start + 6] === 6)
    return parseTcp(bytes, start + 40, { mac, ip: 6, ttl: bytes[start + 7]!, df: true })
  return undefined
}

function parseTcp(
  bytes: Uint8Array,
  start: number,
  outer: Pick<Syn, 'mac' | 'ip' | 'ttl' | 'df'>,
): Syn | undefined {
  if (bytes.length < start + 20) return undefined
  const size = (bytes[start + 12]! >> 4) * 4
  // The kernel returns the headers and nothing else, which also tells apart where they begin.
  if (size < 20 || start + size !== bytes.length) return undefined
  const flags = bytes[start + 13]!
  const initialTtl = [32, 64, 128, 255].find((begin) => outer.ttl <= begin) ?? 255
  return {
    ...outer,
    initialTtl,
    hops: initialTtl - outer.ttl,
    ecn: (flags & 0xc0) === 0xc0,
    window: (bytes[start + 14]! << 8) | bytes[start + 15]!,
    ...parseOptions(bytes.subarray(start + 20)),
  }
}

function parseOptions(bytes: Uint8Array): Pick<Syn, 'mss' | 'scale' | 'options'> {
  let options = ''
  let mss: number | undefined
  let scale: number | undefined
  let at = 0
  while (at < bytes.length) {
    const kind = bytes[at]!
    options += letters[kind] ?? `(${kind})`
    if (kind === 0) break
    const size = kind === 1 ? 1 : (bytes[at + 1] ?? 0)
    if (size < (kind === 1 ? 1 : 2) || at + size > bytes.length) {
      options += '!'
      break
    }
    if (kind === 2 && size === 4) mss = (bytes[at + 2]! << 8) | bytes[at + 3]!
    if (kind === 3 && size === 3) scale = bytes[at + 2]!
    at += size
  }
  return { mss, scale, options }
}

/** A frame of IPv4 or IPv6 (IEEE 802.3, EtherType). */
function isEthernet(bytes: Uint8Array): boolean {
  const type = ((bytes[12] ?? 0) << 8) | (bytes[13] ?? 0)
  return type === 0x0800 || type === 0x86dd
}

function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':')
}
