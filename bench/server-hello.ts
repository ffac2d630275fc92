// Reads what a TLS 1.3 handshake settled on from the server's first, still unencrypted, message.

export interface Negotiated {
  readonly version: string
  readonly cipher: string
  /** The key exchange group; the `key_share` of RFC 8446, 4.2.8. */
  readonly group: string
}

/** IANA's "TLS Supported Groups", those that anything here may choose. */
const GROUPS = new Map([
  [0x0017, 'secp256r1'],
  [0x0018, 'secp384r1'],
  [0x0019, 'secp521r1'],
  [0x001d, 'X25519'],
  [0x001e, 'X448'],
  [0x11eb, 'SecP256r1MLKEM768'],
  [0x11ec, 'X25519MLKEM768'],
  [0x11ed, 'SecP384r1MLKEM1024'],
])
const CIPHERS = new Map([
  [0x1301, 'TLS_AES_128_GCM_SHA256'],
  [0x1302, 'TLS_AES_256_GCM_SHA384'],
  [0x1303, 'TLS_CHACHA20_POLY1305_SHA256'],
])
const VERSIONS = new Map([
  [0x0303, 'TLSv1.2'],
  [0x0304, 'TLSv1.3'],
])

const HANDSHAKE_RECORD = 22
const SERVER_HELLO = 2
const KEY_SHARE = 51
const SUPPORTED_VERSIONS = 43
const RECORD_HEADER = 5

/**
 * Reads a ServerHello (RFC 8446, 4.1.3) from the first bytes a server sent. After a HelloRetryRequest, which has
 * the same shape, the group is the one the server asked for.
 * @returns undefined while bytes are missing
 * @throws {Error} when the bytes start with something else, such as an alert
 */
export function readServerHello(bytes: Buffer): Negotiated | undefined {
  if (bytes.length < RECORD_HEADER) return undefined
  const end = RECORD_HEADER + bytes.readUInt16BE(3)
  if (bytes[0] !== HANDSHAKE_RECORD) throw new Error(`not a handshake record: type ${bytes[0]}`)
  if (bytes.length < end) return undefined
  const hello = bytes.subarray(RECORD_HEADER, end)
  if (hello[0] !== SERVER_HELLO) throw new Error(`not a ServerHello: handshake type ${hello[0]}`)
  // type 1, length 3, version 2, random 32, then the session id with its length.
  const afterSession = 39 + hello.readUInt8(38)
  const cipher = hello.readUInt16BE(afterSession)
  const extensions = extensionsAt(hello, afterSession + 3)
  return {
    version: named(VERSIONS, extensions.get(SUPPORTED_VERSIONS)?.readUInt16BE(0) ?? hello.readUInt16BE(4)),
    cipher: named(CIPHERS, cipher),
    group: named(GROUPS, extensions.get(KEY_SHARE)?.readUInt16BE(0)),
  }
}

function extensionsAt(hello: Buffer, start: number): Map<number, Buffer> {
  const found = new Map<number, Buffer>()
  const end = start + 2 + hello.readUInt16BE(start)
  for (let at = start + 2; at < end;) {
    const length = hello.readUInt16BE(at + 2)
    found.set(hello.readUInt16BE(at), hello.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return found
}

function named(names: ReadonlyMap<number, string>, code: number | undefined): string {
  if (code === undefined) return 'none'
  return names.get(code) ?? `0x${code.toString(16).padStart(4, '0')}`
}
