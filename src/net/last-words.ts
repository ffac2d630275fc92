// Keeps a socket readable when a write to it fails, so that what the peer said before it reset is not lost.

import type { Socket } from 'node:net'

type Done = (error?: Error | null) => void

/**
 * A peer that closes with our bytes unread resets the connection. Its last packet (a broker's DISCONNECT that says why,
 * a device's last reading) is then still in the kernel's receive queue, but a stream destroys itself at the first
 * failed write and throws that packet away. This makes a failed write count as done and calls `onBroken` once; reading
 * goes on to its natural end. Later writes are dropped. The owner must bound how long it waits for that end.
 */
export function keepLastWords(socket: Socket, onBroken: (error: Error) => void): void {
  const { _write: write, _writev: writev } = socket
  if (writev === undefined || writev === null) throw new TypeError('a socket without _writev')
  let broken = false
  // A stream has one write under way at a time, so one callback serves them all and no closure is made per write.
  let pending: Done | undefined
  const settle: Done = (error) => {
    const done = pending
    pending = undefined
    if (error && !broken) {
      broken = true
      onBroken(error)
    }
    done?.()
  }
  socket._write = (chunk: Buffer, encoding, done) => {
    if (broken) return done()
    pending = done
    write.call(socket, chunk, encoding, settle)
  }
  socket._writev = (chunks, done) => {
    if (broken) return done()
    pending = done
    writev.call(socket, chunks, settle)
  }
}
