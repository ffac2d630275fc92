// The broker inside: aedes behind TLS 1.3 on loopback, so that Pulseward can be tried before it is given a real one.

import { once } from 'node:events'
import { createServer, type Server } from 'node:tls'
import { Aedes } from 'aedes'
import type { UpstreamPlan } from './config/snapshot.ts'
import type { Authority } from './tls/authority.ts'
import { brokerContext } from './tls/contexts.ts'
import { SERVED_GROUPS } from './tls/groups.ts'
import { pinOf } from './tls/pins.ts'
import { trustSettings } from './tls/trust.ts'
import { X509Certificate } from 'node:crypto'

const host = '127.0.0.1'

/** Speaks MQTT 3.1 and 3.1.1; keeps everything in memory; for trials, not for wards. */
export class EmbeddedBroker implements AsyncDisposable {
  readonly plan: UpstreamPlan
  readonly #server: Server
  readonly #broker: Aedes

  private constructor(plan: UpstreamPlan, server: Server, broker: Aedes) {
    this.plan = plan
    this.#server = server
    this.#broker = broker
  }

  /** Listens on a free port of loopback with a certificate of the local authority, and pins it. */
  static async start(name: string, authority: Authority): Promise<EmbeddedBroker> {
    const { ec } = await authority.leaves([host, 'localhost'])
    const broker = await Aedes.createBroker()
    const server = createServer(
      { cert: ec.cert, key: ec.key, minVersion: 'TLSv1.3', ecdhCurve: SERVED_GROUPS },
      (socket) => {
        socket.setNoDelay(true)
        broker.handle(socket)
      },
    )
    // Out of descriptors: the proxy tells when it dials; without a listener here the process would end.
    server.on('error', () => {})
    server.listen(0, host)
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const ca = authority.certificate.toString()
    const context = brokerContext({ ca: [ca], minVersion: 'TLSv1.3', postQuantum: 'prefer' })
    const pins = [pinOf(new X509Certificate(ec.cert)), pinOf(authority.certificate)]
    const plan: UpstreamPlan = {
      name,
      key: name,
      servers: [{ host, port: address.port }],
      serverName: undefined,
      pair: undefined,
      plaintext: false,
      context,
      trust: trustSettings({ anchors: context.anchors, pins, minVersion: 'TLSv1.3', postQuantum: 'prefer' }),
      resumption: 'on',
      warnBefore: 0,
      profile: { mode: 'off', settle: 0 },
      strangers: new Set(),
      timeouts: { dial: 5000, handshake: 10_000, connack: 30_000, distrust: 5000 },
    }
    return new EmbeddedBroker(plan, server, broker)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return
    this.#server.close()
    await new Promise<void>((resolve) => this.#broker.close(() => resolve()))
  }
}
