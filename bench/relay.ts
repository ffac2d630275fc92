// The baseline: what Node itself costs, with verified TLS 1.3 out and nothing else done.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { connect, createSecureContext } from 'node:tls'
import { parseArgs } from 'node:util'
import { BROKER_NAME } from './pki.ts'
import { LOOPBACK } from './ports.ts'

const { values } = parseArgs({
  options: { listen: { type: 'string' }, upstream: { type: 'string' }, ca: { type: 'string' } },
})
const port = Number(values.upstream)
const secureContext = createSecureContext({ ca: readFileSync(values.ca ?? ''), minVersion: 'TLSv1.3' })
let session: Buffer | undefined

createServer({ noDelay: true }, (device) => {
  const resumption = session === undefined ? {} : { session }
  const broker = connect({ port, host: LOOPBACK, servername: BROKER_NAME, secureContext, ...resumption })
  broker.setNoDelay(true)
  broker.on('session', (ticket) => (session = ticket))
  broker.on('error', () => device.destroy())
  device.on('error', () => broker.destroy())
  // TLSSocket queues what is written before the handshake is verified, and drops it when verification fails.
  device.pipe(broker).pipe(device)
}).listen({ port: Number(values.listen), host: LOOPBACK, backlog: 4096 })
