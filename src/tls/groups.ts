// Key exchange groups: which ones a broker is offered, what they are called, which withstand a quantum computer.

/** proxy.yaml's `postQuantum`: offer a hybrid group first, refuse to go without one, or never offer one. */
export type PostQuantum = 'prefer' | 'require' | 'off'

const HYBRID = 'X25519MLKEM768:SecP256r1MLKEM768:SecP384r1MLKEM1024'
const CLASSIC = 'X25519:P-256:P-384'

/**
 * The groups offered to a broker, in OpenSSL 3.5's syntax: `*` sends a key share, `/` ends a group of equals.
 *
 * `prefer` sends two key shares, as OpenSSL does by itself. A lone hybrid share would cost every broker without ML-KEM
 * a HelloRetryRequest: a round trip and a fifth more CPU. The X25519 share that spares it is lost in the noise.
 */
export function offeredGroups(postQuantum: PostQuantum): string {
  if (postQuantum === 'require') return HYBRID
  return postQuantum === 'off' ? CLASSIC : '*X25519MLKEM768/*X25519:P-256:P-384'
}

/** The groups a device is served with: a share it already sent wins over one it would have to be asked for. */
export const SERVED_GROUPS = 'X25519MLKEM768:X25519:P-256:P-384:P-521'

/** OpenSSL spells one group differently by protocol version and by resumption; these are the names of record. */
const NAMES = new Map([
  ['x25519mlkem768', 'X25519MLKEM768'],
  ['secp256r1mlkem768', 'SecP256r1MLKEM768'],
  ['secp384r1mlkem1024', 'SecP384r1MLKEM1024'],
  ['x25519', 'X25519'],
  ['x448', 'X448'],
  ['prime256v1', 'P-256'],
  ['secp256r1', 'P-256'],
  ['p-256', 'P-256'],
  ['secp384r1', 'P-384'],
  ['p-384', 'P-384'],
  ['secp521r1', 'P-521'],
  ['p-521', 'P-521'],
])

/** One name a group, out of a bounded set; `other` for groups unheard of, `none` where no group was negotiated. */
export function groupName(name: string | undefined): string {
  return name === undefined || name === '' ? 'none' : (NAMES.get(name.toLowerCase()) ?? 'other')
}

/** Whether a group, by its name of record, joins ML-KEM (FIPS 203) to a classic exchange. */
export function isPostQuantum(group: string): boolean {
  return HYBRID.split(':').includes(group)
}
