// The two ends of a connection, read out of the key under which its packets are found.

export interface End {
  readonly address: string
  readonly port: number
}

/** The ends of a key as `Segment.key` makes it: of who sent the packet, and of whom it went to. */
export function endsOf(key: string): readonly [End, End] {
  const bytes = Buffer.from(key, 'latin1')
  const size = (bytes.length - 4) / 2
  const end = (index: number): End => ({
    address: addressOf(bytes.subarray(index * size, (index + 1) * size)),
    port: bytes.readUInt16BE(2 * size + 2 * index),
  })
  return [end(0), end(1)]
}

/** As the proxy writes it: IPv4 in IPv6 as IPv4, the rest as RFC 5952 has it. */
function addressOf(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2))
  if (groups.every((group, index) => index > 5 || group === (index === 5 ? 0xffff : 0))) {
    return bytes.subarray(12).join('.')
  }
  const { at, length } = longestZeros(groups)
  const text = (some: readonly number[]): string => some.map((group) => group.toString(16)).join(':')
  return length < 2 ? text(groups) : `${text(groups.slice(0, at))}::${text(groups.slice(at + length))}`
}

function longestZeros(groups: readonly number[]): { at: number; length: number } {
  let best = { at: 0, length: 0 }
  let length = 0
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0
    if (length > best.length) best = { at: index + 1 - length, length }
  }
  return best
}
