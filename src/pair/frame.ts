// The one frame of paired mode, sent once by each end: its fixed layout, written and read.

/** Which end of the link speaks: `near` the devices, or `far` from them and beside the broker. */
export type Role = 'near' | 'far'

/** How a proof is made: HMAC-SHA-512 with a key both ends hold, or an Ed25519 signature (RFC 8032). */
export type Method = 'shared-key' | 'ed25519'

/** What a frame says, without its proof. */
export interface Statement {
  readonly role: Role
  readonly method: Method
  /** Which key proves it, 8 bytes; see keys.ts. */
  readonly keyId: Buffer
  /** 32 random bytes. */
  readonly nonce: Buffer
  /** What this end sees of the connection, 32 bytes; see `bindingOf` in exchange.ts. */
  readonly binding: Buffer
}

export interface Frame extends Statement {
  /** The bytes the proof is about: all before it. */
  readonly body: Buffer
  readonly proof: Buffer
}

/** The application protocol both ends agree on in the TLS handshake (ALPN, RFC 7301). */
export const PAIR_PROTOCOL = 'pulseward-pair/1'

export const KEY_ID_BYTES = 8
export const NONCE_BYTES = 32
export const BINDING_BYTES = 32
/** An HMAC-SHA-512 and an Ed25519 signature are equally long, so that every frame is. */
const PROOF_BYTES = 64

/** `PWP` and the version of the protocol. */
const MAGIC = Buffer.from([0x50, 0x57, 0x50, 1])
const ROLES = ['near', 'far'] as const satisfies readonly Role[]
const METHODS = ['shared-key', 'ed25519'] as const satisfies readonly Method[]

const ROLE_AT = MAGIC.length
const METHOD_AT = ROLE_AT + 1
const KEY_ID_AT = METHOD_AT + 1
const NONCE_AT = KEY_ID_AT + KEY_ID_BYTES
const BINDING_AT = NONCE_AT + NONCE_BYTES
const PROOF_AT = BINDING_AT + BINDING_BYTES

/** Length of every frame: 142 bytes. */
export const FRAME_BYTES = PROOF_AT + PROOF_BYTES

/** The bytes of a statement, to which `seal` adds the proof. */
export function bodyOf({ role, method, keyId, nonce, binding }: Statement): Buffer {
  const codes = Buffer.from([ROLES.indexOf(role) + 1, METHODS.indexOf(method) + 1])
  return Buffer.concat([MAGIC, codes, keyId, nonce, binding], PROOF_AT)
}

export function seal(body: Buffer, proof: Buffer): Buffer {
  return Buffer.concat([body, proof], FRAME_BYTES)
}

/** A frame, or in a few words what the bytes are instead; never throws. */
export function parseFrame(bytes: Buffer): Frame | { readonly fault: string } {
  if (!beginsLikeFrame(bytes)) return { fault: 'bytes that are no proof' }
  if (bytes.length !== FRAME_BYTES) {
    return { fault: bytes.length < FRAME_BYTES ? 'half a proof' : 'more bytes than a proof has' }
  }
  const role = ROLES[bytes.readUInt8(ROLE_AT) - 1]
  const method = METHODS[bytes.readUInt8(METHOD_AT) - 1]
  if (role === undefined || method === undefined) return { fault: 'a proof of an unknown kind' }
  return {
    role,
    method,
    keyId: bytes.subarray(KEY_ID_AT, NONCE_AT),
    nonce: bytes.subarray(NONCE_AT, BINDING_AT),
    binding: bytes.subarray(BINDING_AT, PROOF_AT),
    body: bytes.subarray(0, PROOF_AT),
    proof: bytes.subarray(PROOF_AT),
  }
}

/** Collects one frame from the chunks of a connection; holds 142 bytes at most. */
export class FrameReader {
  readonly #bytes = Buffer.alloc(FRAME_BYTES)
  #length = 0

  /** The frame once it is whole, `more` before, or what is wrong as soon as it is clear; of no use after that. */
  push(chunk: Buffer): Frame | { readonly fault: string } | 'more' {
    if (chunk.length > FRAME_BYTES - this.#length) return { fault: 'more bytes than a proof has' }
    this.#length += chunk.copy(this.#bytes, this.#length)
    const seen = this.#bytes.subarray(0, this.#length)
    return this.#length < FRAME_BYTES && beginsLikeFrame(seen) ? 'more' : parseFrame(seen)
  }
}

/** So that who speaks something else is told apart at once, and not after a deadline. */
function beginsLikeFrame(bytes: Buffer): boolean {
  const length = Math.min(bytes.length, MAGIC.length)
  return bytes.subarray(0, length).equals(MAGIC.subarray(0, length))
}
