// Counts what we write to a broker's socket before the broker is trusted: the number evidence states.
import type { Socket } from 'node:net'

export interface Writes {
  /** Application bytes handed to the socket so far, by our count or by Node's, whichever is more. */
  count(): number
  /** Sends our own proof to the other end of a pair: it says nothing of any device, and `count` leaves it out. */
  prove(proof: Buffer): void
  /** Bytes of proofs sent so far. */
  proofs(): number
  /** The broker is trusted: writing costs nothing more from here on. */
  release(): void
}

/**
 * Everything JavaScript sends through a stream goes through its `write` and `end`, so these are the place to count:
 * the handshake itself is OpenSSL's and passes neither. Node's own `bytesWritten` counts plaintext too, buffered bytes
 * included; it is the second witness, should somebody get past the first.
 */
export function countWrites(socket: Socket): Writes {
  let asked = 0
  let proofs = 0
  const note = ([chunk, encoding]: readonly unknown[]): void => {
    if (typeof chunk === 'string') {
      asked += Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
    } else if (ArrayBuffer.isView(chunk)) asked += chunk.byteLength
  }
  const real = { write: method(socket, 'write'), end: method(socket, 'end') }
  const counting = (send: Method) =>
    function counted(...args: unknown[]): unknown {
      note(args)
      return Reflect.apply(send, socket, args)
    }
  Object.assign(socket, { write: counting(real.write), end: counting(real.end) })
  return {
    count: () => Math.max(asked, socket.bytesWritten - proofs),
    prove: (proof) => {
      proofs += proof.length
      real.write.call(socket, proof)
    },
    proofs: () => proofs,
    release: () => void Object.assign(socket, real),
  }
}

type Method = (...args: unknown[]) => unknown

function method(socket: Socket, name: 'write' | 'end'): Method {
  return Reflect.get(socket, name) as unknown as Method
}
