// From a captured frame to where its IP packet begins, by link type: Ethernet with VLAN tags, Linux cooked, raw and loopback.

/** What is there instead of an offset. */
export const notIp = -1
export const unknownLink = -2

const etherIpv4 = 0x0800
const etherIpv6 = 0x86dd
/** 802.1Q, 802.1ad, and what was used before it. */
const vlanTags: ReadonlySet<number> = new Set([0x8100, 0x88a8, 0x9100])
/** No network nests more. */
const maxTags = 4

/**
 * Where the IP packet of a frame begins; `notIp` where it holds another, `unknownLink` where nobody here can tell.
 * Numbers as in https://www.tcpdump.org/linktypes.html.
 */
export function ipStart(link: number, bytes: Buffer): number {
  switch (link) {
    case 1: // Ethernet
      return behindEtherType(bytes, 12)
    case 113: // Linux cooked v1: the type is its last field
      return behindEtherType(bytes, 14)
    case 276: // Linux cooked v2: the type is its first field
      return behindTags(bytes, 0, 20)
    case 0: // BSD loopback: an address family in the order of the machine
    case 108: // OpenBSD loopback: the same in network order
    case 12: // raw IP, as BSD numbers it
    case 14:
    case 101: // raw IP
    case 228: // IPv4
    case 229: // IPv6
      return ifIp(bytes, link === 0 || link === 108 ? 4 : 0)
    default:
      return unknownLink
  }
}

/** The type at `at` with what it announces right behind it. */
function behindEtherType(bytes: Buffer, at: number): number {
  return behindTags(bytes, at, at + 2)
}

/** The type at `at` with what it announces at `next`: IP, or VLAN tags that end with a type of their own. */
function behindTags(bytes: Buffer, at: number, next: number): number {
  let type = at
  let start = next
  for (let tags = 0; start <= bytes.length; tags++) {
    const announced = (bytes[type]! << 8) | bytes[type + 1]!
    if (announced === etherIpv4 || announced === etherIpv6) return ifIp(bytes, start)
    if (!vlanTags.has(announced) || tags === maxTags) return notIp
    type = start + 2
    start += 4
  }
  return notIp
}

/** The version nibble decides; which address family a machine calls IPv6 differs from one to the other. */
function ifIp(bytes: Buffer, at: number): number {
  const version = at < bytes.length ? bytes[at]! >> 4 : 0
  return version === 4 || version === 6 ? at : notIp
}
