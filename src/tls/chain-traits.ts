// What the certificates of a broker show of it besides who it is: how many it serves, who issued its own, and its key.
import type { X509Certificate } from 'node:crypto'
import { pinOf, shortPin } from './pins.ts'
import type { Showing } from './profile.ts'
import { LONGEST_VALUE } from './profile-text.ts'
import { printable } from '../printable.ts'
import { nameLine } from './words.ts'

/** Of a verified path, leaf first, and of what was served for it. */
export function shownBy(served: readonly X509Certificate[], path: readonly X509Certificate[]): Showing {
  const [leaf, next] = path
  if (leaf === undefined) return {}
  const issuer = next ?? leaf
  return {
    // By key: who is meant by a name is the question.
    issuer: `${shortPin(pinOf(issuer))} ${printable(nameLine(issuer.subject), LONGEST_VALUE - 20)}`,
    'key-type': keyType(leaf),
    'chain-length': String(served.length),
  }
}

/** `rsa 2048`, `ec prime256v1`, `ed25519`. */
function keyType({ publicKey }: X509Certificate): string {
  const { modulusLength, namedCurve } = publicKey.asymmetricKeyDetails ?? {}
  const size = modulusLength ?? namedCurve
  const kind = publicKey.asymmetricKeyType ?? 'unknown'
  return size === undefined ? kind : `${kind} ${size}`
}
