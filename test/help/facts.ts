// The facts of a handshake that never was: in order, but for what a test says.

import type { HandshakeFacts } from '../../src/tls/verdict.ts'

/** A full handshake of TLS 1.3 that OpenSSL has nothing against; the leaf is the first of what is served. */
export function factsWith(
  given: Partial<Omit<HandshakeFacts, 'leaf'>> & Pick<HandshakeFacts, 'name'>,
): HandshakeFacts {
  const { served = [] } = given
  return {
    at: Date.now(),
    authorized: true,
    errorCode: undefined,
    protocol: 'TLSv1.3',
    cipher: 'TLS_AES_256_GCM_SHA384',
    group: 'X25519MLKEM768',
    resumed: false,
    earlier: undefined,
    afresh: false,
    ...given,
    served,
    leaf: served[0],
  }
}
