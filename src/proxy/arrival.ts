// A connection from accept until it is clear what it speaks and its TLS, if any, stands; then it becomes a session.

import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { messageOf } from '../errors.ts'
import type { Endpoint } from '../net/address.ts'
import { parseProxyHeader, type Route } from '../net/proxy-protocol.ts'
import { sniff } from '../net/sniff.ts'
import { MAX_CLIENT_HELLO, parseClientHello, type ClientHello } from '../tls/client-hello.ts'
import { callerOf, isTrustedProxy } from './caller.ts'
import type { FarEnd } from '../config/snapshot.ts'
import type { Connection, Hub } from './hub.ts'
import { noSuchProtocol, offersProof, pairProtocolOnWire, recognise, type Recognised } from './recognise.ts'
import { Session } from './session.ts'
import type { Swept } from './sweep.ts'

const nothing: Buffer = Buffer.alloc(0)

const interception =
  'the near end is genuine and another TLS connection reaches it: somebody on the way holds a certificate it takes for ours; replace our certificate and key, and find who answers at our address'

export class Arrival implements Connection, Swept {
  readonly #hub: Hub
  readonly #socket: Socket
  #address: string
  readonly #openedAt: number
  #bytes = nothing
  #hello: ClientHello | undefined
  /** The device's TLS while its handshake is under way. */
  #tls: TLSSocket | undefined
  /** Whether that handshake is done, and the device has only to prove itself as a near end. */
  #shaken = false
  #over = false
  /** Whether a trusted proxy still has to say for whom it speaks. */
  #announced: boolean
  /** Whether the first bytes have come. */
  #heard = false
  /** Both ends as far as somebody else had to tell us. */
  readonly #destination: Endpoint | undefined
  #route: Route | undefined

  /** `destination`: where the device wanted to go, if that is known and not here. */
  constructor(socket: Socket, address: string, hub: Hub, destination?: Endpoint) {
    this.#hub = hub
    this.#socket = socket
    this.#address = address
    this.#destination = destination
    this.#announced = !isTrustedProxy(address, hub.plan)
    hub.sweep.add(this)
    this.#openedAt = hub.sweep.now
    hub.metrics.connectionOpened(hub.plan.name)
    hub.opened(this)
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('error', this.#onError)
    socket.on('close', this.#onClose)
    socket.resume()
  }

  sweep(now: number): void {
    if (now - this.#openedAt < this.#hub.plan.timeouts.connect) return
    // It has been told why, and takes its time to read it.
    if (this.#over) return this.destroy()
    this.#refuse('connect-timeout', 'no whole CONNECT within connectTimeout')
  }

  drain(): void {
    this.destroy()
  }

  destroy(): void {
    this.#over = true
    this.#tls?.destroy()
    this.#socket.destroy()
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#over) return
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    if (!this.#heard) {
      this.#heard = true
      if (this.#hub.own.has(this.#socket, this.#destination))
        return this.#refuse(
          'loop',
          'this proxy itself: an upstream, or a rule of this machine, leads back to it',
        )
    }
    if (!this.#announced && !this.#readAnnouncement()) return
    const { accept } = this.#hub.plan
    const sniffed = sniff(this.#bytes)
    if (sniffed === 'more') return
    if (sniffed.kind === 'other') return this.#refuseStranger(sniffed.name)
    if (sniffed.kind === 'tls') {
      return accept.tls
        ? this.#readHello()
        : this.#refuse('tls-not-accepted', 'TLS on a listener for plaintext only')
    }
    if (!accept.plain)
      return this.#refuse('plaintext-not-accepted', 'plaintext MQTT on a listener for TLS only')
    this.#become(this.#socket, 'plain', this.#bytes)
  }

  /** Waits for the header of a trusted proxy; true once what follows it is the device's own. */
  #readAnnouncement(): boolean {
    const header = parseProxyHeader(this.#bytes)
    if (header === 'more') return false
    if ('error' in header) {
      this.#refuse(header.error, 'a trusted proxy has to begin with a PROXY protocol header')
      return false
    }
    this.#announced = true
    this.#bytes = this.#bytes.subarray(header.size)
    this.#route = header.route
    if (header.route === undefined) return true
    const { address } = header.route.source
    if (!this.#hub.spokenFor(this.#address, address)) {
      this.#refuse(
        'over-address-limit',
        `"${address}", for which a trusted proxy speaks, has enough connections`,
      )
      return false
    }
    this.#address = address
    return true
  }

  #refuseStranger(name: string): void {
    if (name !== 'proxy-protocol') return this.#refuse(name, `${name} on an MQTT port`)
    const { metrics } = this.#hub
    metrics.found('proxy-header-untrusted', 'warning', 'refuse')
    this.#refuse(
      'proxy-header-untrusted',
      'a PROXY protocol header from an address that is not in trustedProxies',
    )
  }

  /** Waits for the whole ClientHello, so that what OpenSSL is handed was read and bounded by us first. */
  #readHello(): void {
    const result = parseClientHello(this.#bytes, 0, this.#bytes.length)
    if (result === 'more') {
      if (this.#bytes.length > MAX_CLIENT_HELLO)
        this.#refuse('client-hello-too-large', 'a ClientHello without end')
      return
    }
    if ('error' in result)
      return this.#refuse(`client-hello-${result.error}`, 'TLS that is not a ClientHello')
    this.#hello = result.hello
    const { pair } = this.#hub.plan
    const isNearEnd = pair !== undefined && offersProof(result.hello)
    if (pair?.others === false && !isNearEnd) {
      // Before the work of a handshake, and so that an administrator sees at the other end what is wrong.
      return this.#refuse('pair-missing', 'a TLS client that does not offer to prove itself', noSuchProtocol)
    }
    this.#shakeHands(isNearEnd ? pair : undefined)
  }

  /** `pair` where the client has to prove itself after it. */
  #shakeHands(pair: FarEnd | undefined): void {
    const socket = this.#socket
    const { deviceContext } = this.#hub.plan
    if (deviceContext === undefined) return this.#refuse('tls-not-accepted', 'no certificate for devices')
    const protocols = pair && { ALPNProtocols: pairProtocolOnWire }
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.pause()
    socket.unshift(this.#bytes)
    this.#bytes = nothing
    const began = performance.now()
    const tls = new TLSSocket(socket, { isServer: true, secureContext: deviceContext, ...protocols })
    this.#tls = tls
    tls.allowHalfOpen = true
    tls.on('error', this.#onTlsError)
    // Node reports some failures of a server's handshake only here.
    tls.on('_tlsError', this.#onTlsError)
    // Half-open, it would wait for the deadline after the device's FIN.
    tls.on('end', this.#onTlsClose)
    tls.on('close', this.#onTlsClose)
    tls.on('secure', () => {
      const version = tls.getProtocol() ?? 'none'
      const result = tls.isSessionReused() ? 'resumed' : 'full'
      const seconds = (performance.now() - began) / 1000
      this.#hub.metrics.handshaken({ leg: 'device', version, group: 'none', result, seconds })
      tls.off('error', this.#onTlsError)
      tls.off('_tlsError', this.#onTlsError)
      tls.off('end', this.#onTlsClose)
      tls.off('close', this.#onTlsClose)
      // A TLS socket that no `tls.Server` made stays open after a broken record, and only this event tells.
      tls.on('_tlsError', (error: Error) => tls.destroy(error))
      this.#shaken = true
      if (pair === undefined) this.#become(tls, 'tls', nothing)
      else recognise(tls, pair.keys, (seen) => this.#settle(tls, seen))
    })
  }

  /** What came of the proof a near end owes. */
  #settle(tls: TLSSocket, { finding, reply }: Recognised): void {
    if (this.#over) return void tls.on('error', this.#onError)
    const { metrics } = this.#hub
    metrics.paired('device', finding.proven ? 'proven' : finding.fault)
    if (!finding.proven) {
      tls.on('error', this.#onError)
      return this.#refuse(finding.fault, finding.reason, reply)
    }
    if (reply !== undefined) tls.write(reply)
    this.#become(tls, 'tls', nothing, finding.by)
  }

  readonly #onEnd = (): void => {
    // A probe that only knocks: counted with the arrivals, not worth a line.
    this.#hub.log.debug({ listener: this.#hub.plan.name, address: this.#address }, 'closed before CONNECT')
    this.destroy()
  }

  readonly #onError = (error: Error): void => {
    this.#hub.log.debug({ address: this.#address, error: messageOf(error) }, 'device reset before CONNECT')
  }

  readonly #onTlsError = (error: Error): void => {
    this.#refuse('tls-handshake-failed', messageOf(error))
  }

  readonly #onTlsClose = (): void => {
    this.#refuse('tls-handshake-failed', 'closed during the handshake')
  }

  readonly #onClose = (): void => {
    this.#leave()
    this.#hub.metrics.connectionClosed(this.#hub.plan.name)
    this.#hub.closed(this, this.#address)
  }

  #become(device: Socket, transport: 'plain' | 'tls', first: Buffer, pairedWith?: string): void {
    this.#leave()
    const socket = this.#socket
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('error', this.#onError)
    socket.off('close', this.#onClose)
    // Below TLS the raw socket still reports its errors; the TLS socket repeats those that matter.
    if (device !== socket) socket.on('error', () => {})
    void new Session({
      device,
      socket,
      transport,
      first,
      address: this.#address,
      openedAt: this.#openedAt,
      hello: this.#hello,
      caller: callerOf(this.#hub.plan, device, {
        address: this.#address,
        route: this.#route,
        destination: this.#destination,
        serverName: this.#hello?.sni,
        socket,
      }),
      pairedWith,
      hub: this.#hub,
      before: this,
    })
  }

  /** `farewell`: what the peer is told before it is closed. */
  #refuse(reason: string, detail: string, farewell?: Buffer): void {
    if (this.#over) return
    const { metrics, plan, limited } = this.#hub
    metrics.rejected(plan.name, reason)
    if (this.#tls !== undefined && !this.#shaken) {
      const result = reason === 'connect-timeout' ? 'timeout' : 'failed'
      metrics.handshaken({ leg: 'device', version: 'none', group: 'none', result, seconds: 0 })
    }
    const fields = { listener: plan.name, address: this.#address, reason, detail, ja4: this.#hello?.ja4 }
    if (reason === 'pair-mismatch') {
      limited(
        'error',
        reason,
        { ...fields, hint: interception },
        'somebody is between the two ends of a pair',
      )
    } else limited('warn', reason, fields, 'connection refused')
    if (farewell === undefined) return this.destroy()
    this.#over = true
    const last = this.#tls ?? this.#socket
    last.end(farewell, () => this.destroy())
  }

  #leave(): void {
    this.#over = true
    this.#hub.sweep.delete(this)
  }
}
