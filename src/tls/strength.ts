// How strong what a handshake negotiated is: versions, key exchange groups and ciphers in classes that can be compared.
import { isPostQuantum } from './groups.ts'

/** What a handshake negotiated, and may be weaker in than before; the gravest first. */
export const LINK = ['version', 'group', 'cipher'] as const

export type LinkPart = (typeof LINK)[number]

const VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']

/** The class of a value: a greater number is stronger, equals are as good as each other, 0 is unknown or hardly any. */
export function strengthOf(part: LinkPart, value: string): number {
  if (part === 'version') return VERSIONS.indexOf(value) + 1
  return part === 'group' ? groupStrength(value) : cipherStrength(value)
}

/** The cipher without the key exchange and hash that TLS 1.2 joins to its name: what TLS 1.3 calls the same. */
export function bulkCipher(suite: string): string {
  return suite.replace(/^TLS_(?:\w+_WITH_)?/, '').replace(/_SHA(?:256|384)?$/, '')
}

/** By what breaking it takes: a quantum computer breaks every classic curve, the small ones no sooner than the large. */
function groupStrength(group: string): number {
  if (isPostQuantum(group)) return group.endsWith('1024') ? 4 : 3
  if (group === 'P-384' || group === 'P-521' || group === 'X448') return 2
  return group === 'X25519' || group === 'P-256' ? 1 : 0
}

/** By its key, where it is authenticated encryption; what is not counts as none. */
function cipherStrength(cipher: string): number {
  if (!/GCM|CHACHA20|CCM/.test(cipher)) return 0
  return /256|CHACHA20/.test(cipher) ? 2 : 1
}
