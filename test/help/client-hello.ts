// The ClientHello of a real TLS client, without a server or a socket.

import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { connect } from 'node:tls'

/** What a TLS client of this machine says first; `protocols` are offered in ALPN. */
export async function clientHello(...protocols: readonly string[]): Promise<Buffer> {
  const sides = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      sides.emit('hello', chunk)
      done()
    },
  })
  const alpn = protocols.length > 0 ? { ALPNProtocols: [...protocols] } : {}
  const said = once(sides, 'hello')
  const socket = connect({
    socket: sides,
    servername: 'broker.hospital.example',
    minVersion: 'TLSv1.2',
    ...alpn,
  })
  socket.on('error', () => {})
  const [hello] = (await said) as [Buffer]
  socket.destroy()
  return hello
}
