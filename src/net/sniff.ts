// Tells from the first bytes of a connection what its peer speaks: MQTT, TLS, or a named something else.

/** `more`: these bytes could still become several things. */
export type Sniffed =
  | { readonly kind: 'mqtt' | 'tls' }
  /** A refusal reason: `http`, `ssh`, …, or `unknown`. */
  | { readonly kind: 'other'; readonly name: Stranger }
  | 'more'

/** What is refused by name; a bounded set, since it is a metric label. */
export type Stranger = (typeof strangers)[number]

const banners = [
  { name: 'proxy-protocol', starts: ['PROXY ', '\r\n\r\n\0\r\nQUIT\n'] },
  {
    name: 'http',
    starts: [
      'GET ',
      'HEAD ',
      'POST ',
      'PUT ',
      'DELETE ',
      'OPTIONS ',
      'CONNECT ',
      'TRACE ',
      'PATCH ',
      'PRI * HTTP/2',
    ],
  },
  { name: 'rtsp', starts: ['DESCRIBE ', 'SETUP ', 'RTSP/'] },
  { name: 'sip', starts: ['INVITE ', 'REGISTER ', 'SIP/2.0'] },
  { name: 'ssh', starts: ['SSH-'] },
  { name: 'amqp', starts: ['AMQP'] },
  { name: 'stomp', starts: ['STOMP\n', 'CONNECT\n', 'CONNECT\r\n'] },
  { name: 'smtp', starts: ['EHLO ', 'HELO '] },
  { name: 'rdp', starts: ['\x03\x00\x00'] },
  { name: 'smb', starts: ['\0\0\0\xa4\xffSMB', '\xffSMB', '\xfeSMB'] },
] as const

const strangers = [...banners.map(({ name }) => name), 'mqtt-without-connect', 'sslv2', 'unknown'] as const

const mqtt: Sniffed = { kind: 'mqtt' }
const tls: Sniffed = { kind: 'tls' }

/** Judges the first `bytes` of a connection; pure, and needs at most 12 of them. */
export function sniff(bytes: Uint8Array): Sniffed {
  const first = bytes[0]
  if (first === undefined) return 'more'
  if (first === 0x16) return sniffTls(bytes)
  // CONNECT, with whatever flags: MQTT 3.1 does not use them, and in later versions the judge names the mistake.
  if (first >> 4 === 1) return mqtt
  const banner = sniffBanner(bytes)
  if (banner !== undefined) return banner
  const old = sniffSslV2(bytes)
  if (old !== undefined) return old
  return { kind: 'other', name: isMqttType(first) ? 'mqtt-without-connect' : 'unknown' }
}

/** A TLS record: handshake (22), version 3.x (RFC 8446, 5.1). */
function sniffTls(bytes: Uint8Array): Sniffed {
  if (bytes.length < 2) return 'more'
  return bytes[1] === 3 ? tls : { kind: 'other', name: 'unknown' }
}

function sniffBanner(bytes: Uint8Array): Sniffed | undefined {
  let undecided = false
  for (const { name, starts } of banners) {
    for (const start of starts) {
      const matched = commonPrefix(bytes, start)
      if (matched === start.length) return { kind: 'other', name }
      if (matched === bytes.length) undecided = true
    }
  }
  return undecided ? 'more' : undefined
}

function commonPrefix(bytes: Uint8Array, start: string): number {
  let i = 0
  while (i < start.length && i < bytes.length && bytes[i] === start.charCodeAt(i)) i++
  return i
}

/**
 * An SSL 2.0 hello: a two-byte length with the high bit set, below 512 in any that was ever sent (no MQTT packet begins
 * with 0x80 or 0x81), message type 1, version 0.2 or 3.x.
 */
function sniffSslV2(bytes: Uint8Array): Sniffed | undefined {
  if (bytes[0] !== 0x80 && bytes[0] !== 0x81) return undefined
  if (bytes.length > 2 && bytes[2] !== 1) return undefined
  if (bytes.length < 4) return 'more'
  return bytes[3] === 0 || bytes[3] === 3 ? { kind: 'other', name: 'sslv2' } : undefined
}

/** Whether a first byte is that of an MQTT packet other than CONNECT, with the flags such a packet has. */
function isMqttType(first: number): boolean {
  const type = first >> 4
  const flags = first & 0x0f
  if (type === 3) return (flags & 0x06) !== 0x06
  return type !== 0 && flags === (type === 6 || type === 8 || type === 10 ? 2 : 0)
}
