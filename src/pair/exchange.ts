// The exchange of paired mode: what each end states and proves about the connection, and how the other end judges it.
//
// The near end speaks first and proves "I, near, see this connection"; the far end answers "I, far, see that one", and
// its proof covers what it answers. Each end states what it sees, so that one can tell a wrong key from somebody in
// the middle: the key is right, and the other end sees another connection.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { BINDING_BYTES, bodyOf, NONCE_BYTES, seal } from './frame.ts'
import type { Frame, Role } from './frame.ts'
import { nameOf } from './keys.ts'
import type { PairKeys, Prover, Verifier } from './keys.ts'

/** Why the other end of a connection is not the one it is paired with; bounded, fit for a metric label. */
export const PAIR_FAULTS = ['pair-mismatch', 'pair-unproven', 'pair-missing'] as const

export type PairFault = (typeof PAIR_FAULTS)[number]

/** How one end stands to the other. */
export type Finding =
  | { readonly proven: true; /** Name of the key it proved by. */ readonly by: string }
  | { readonly proven: false; readonly fault: PairFault; readonly reason: string }

/** The TLS exporter both ends take: `tls-exporter` of RFC 9266, 2; 32 bytes without a context. */
export const EXPORTER = { label: 'EXPORTER-Channel-Binding', length: 32 } as const

const LABEL = Buffer.from('pulseward-pair/1 proof\0')
const BINDING_LABEL = Buffer.from('pulseward-pair/1 binding\0')

/** What an end tells of the connection it sees. A hash: the exporter's value itself never leaves the process. */
export function bindingOf(exporter: Buffer): Buffer {
  return createHash('sha256').update(BINDING_LABEL).update(exporter).digest().subarray(0, BINDING_BYTES)
}

/** The frame the near end opens with. `nonce` is never used twice. */
export function introduce({ own }: PairKeys, binding: Buffer, nonce = randomBytes(NONCE_BYTES)): Buffer {
  const [prover] = own
  if (prover === undefined) throw new Error('no key to prove by')
  return stated(prover, { role: 'near', binding, nonce })
}

/**
 * The far end's judgement on the frame of a near end, and its answer. There is an answer wherever the frame was made by
 * a near end it knows, even one at another connection: then the near end learns for certain that somebody is between.
 */
export function answer(
  keys: PairKeys,
  frame: Frame,
  binding: Buffer,
  nonce = randomBytes(NONCE_BYTES),
): { readonly finding: Finding; readonly reply?: Buffer } {
  const finding = judge(keys, frame, { role: 'near', binding, before: nothing })
  if (!finding.proven && finding.fault !== 'pair-mismatch') return { finding }
  // By the same key where both share several: it is the one the near end surely has.
  const prover = keys.own.find((one) => one.method === frame.method && one.id.equals(frame.keyId))
  const own = prover ?? keys.own.find(({ method }) => method === frame.method)
  if (own === undefined) return { finding }
  return { finding, reply: stated(own, { role: 'far', binding, nonce }, wholeOf(frame)) }
}

/** The near end's judgement on what came back for `sent`. */
export function judgeAnswer(keys: PairKeys, sent: Buffer, frame: Frame, binding: Buffer): Finding {
  return judge(keys, frame, { role: 'far', binding, before: sent })
}

const nothing: Buffer = Buffer.alloc(0)

interface Expected {
  readonly role: Role
  /** What this end sees of the connection. */
  readonly binding: Buffer
  /** The frame it answers, which its proof covers too. */
  readonly before: Buffer
}

function judge({ accepted }: PairKeys, frame: Frame, { role, binding, before }: Expected): Finding {
  if (frame.role !== role) return unproven('it sent a proof back that is not its own to make')
  const verifier = accepted.find((one) => isOf(one, frame))
  const by = nameOf(frame.keyId)
  if (verifier === undefined) return unproven(`it proves by the key ${by}, which is not listed here`)
  if (!verifier.verify(messageOf(before, frame.body), frame.proof)) {
    return unproven(`its proof was not made with the key ${by}`)
  }
  if (timingSafeEqual(frame.binding, binding)) return { proven: true, by }
  const reason = `the ${role} end, proven by the key ${by}, sees another TLS connection: somebody is in between`
  return { proven: false, fault: 'pair-mismatch', reason }
}

function isOf({ method, id }: Verifier, frame: Frame): boolean {
  return method === frame.method && id.equals(frame.keyId)
}

function unproven(reason: string): Finding {
  return { proven: false, fault: 'pair-unproven', reason }
}

function stated(
  { method, id, prove }: Prover,
  statement: { readonly role: Role; readonly binding: Buffer; readonly nonce: Buffer },
  before: Buffer = nothing,
): Buffer {
  const body = bodyOf({ ...statement, method, keyId: id })
  return seal(body, prove(messageOf(before, body)))
}

function messageOf(before: Buffer, body: Buffer): Buffer {
  return Buffer.concat([LABEL, before, body])
}

function wholeOf({ body, proof }: Frame): Buffer {
  return seal(body, proof)
}
