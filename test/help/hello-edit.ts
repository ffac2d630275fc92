// What somebody on the path can do to a ClientHello: take out what the broker is not to see (RFC 8446, 4.1.2).

import { bytes, field, uint16 } from './packets.ts'

const extension = { supportedGroups: 10, supportedVersions: 43, keyShare: 51 } as const
const x25519MlKem768 = 0x11ec

/** Without its supported_versions, a ClientHello of TLS 1.3 is one of TLS 1.2. */
export function withoutTls13(hello: Buffer): Buffer {
  return edit(hello, (type, content) => (type === extension.supportedVersions ? undefined : content))
}

/** Offers X25519MLKEM768 no more, neither as a group nor with a key. */
export function withoutMlKem(hello: Buffer): Buffer {
  return edit(hello, (type, content) => {
    if (type !== extension.supportedGroups && type !== extension.keyShare) return content
    const kept = entries(content, type === extension.keyShare)
    return field(Buffer.concat(kept.filter((entry) => entry.readUInt16BE(0) !== x25519MlKem768)))
  })
}

/** The entries of a list of groups, or of groups with their keys. */
function entries(list: Buffer, haveKeys: boolean): Buffer[] {
  const found: Buffer[] = []
  for (let at = 2; at < list.length;) {
    const size = haveKeys ? 4 + list.readUInt16BE(at + 2) : 2
    found.push(list.subarray(at, at + size))
    at += size
  }
  return found
}

/** Rebuilds one record with one ClientHello; `change` says what becomes of each extension. */
function edit(record: Buffer, change: (type: number, content: Buffer) => Buffer | undefined): Buffer {
  const hello = record.subarray(9, 5 + record.readUInt16BE(3))
  if (record[0] !== 22 || record[5] !== 1 || hello.length + 9 !== record.length) {
    throw new Error('not one record with one ClientHello')
  }
  let at = 2 + 32
  at += 1 + hello.readUInt8(at)
  at += 2 + hello.readUInt16BE(at)
  at += 1 + hello.readUInt8(at)
  const kept: Buffer[] = []
  const head = hello.subarray(0, at)
  for (at += 2; at < hello.length;) {
    const [type, size] = [hello.readUInt16BE(at), hello.readUInt16BE(at + 2)]
    const content = change(type, hello.subarray(at + 4, at + 4 + size))
    if (content !== undefined) kept.push(bytes(uint16(type), field(content)))
    at += 4 + size
  }
  const body = bytes(head, field(Buffer.concat(kept)))
  const message = bytes(1, 0, uint16(body.length), body)
  return bytes(record.subarray(0, 3), field(message))
}
