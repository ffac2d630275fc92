// One device and its broker, from the first byte of CONNECT until both sockets are closed.

import type { Socket } from 'node:net'
import { messageOf, PulsewardError, type Blame } from '../errors.ts'
import { FrameStream } from '../mqtt/frames.ts'
import { referencesOf } from '../mqtt/patches.ts'
import { Reason } from '../mqtt/reply.ts'
import type { Outcome } from '../mqtt/rule.ts'
import { brokenRule } from '../mqtt/rules.ts'
import { SessionState } from '../mqtt/session.ts'
import { keepLastWords } from '../net/last-words.ts'
import { ByteCount } from '../observe/samples.ts'
import type { Caller } from './departure.ts'
import { endWith, lastPacket } from './ending.ts'
import type { Connection, Hub } from './hub.ts'
import { Judge, clauseOf, type Refuse } from './judge.ts'
import { Pump, type PumpOwner } from './pump.ts'
import { receptionOf } from './reception.ts'
import { senderOf, SessionRecord, type Breach, type LegName, type Origin } from './record.ts'
import type { Swept } from './sweep.ts'
import type { Connected } from './upstream.ts'

interface SessionOptions extends Origin {
  readonly device: Socket
  /** The connection that carries it: itself, or what is below TLS. */
  readonly socket: Socket
  /** Bytes that were read to tell what the device speaks. */
  readonly first: Buffer
  readonly hub: Hub
  readonly before: Connection
}

type Phase = 'connect' | 'dial' | 'relay' | 'closing'

/** Time a refused device has to read why, and a peer that reset has to finish its last words; milliseconds. */
const lingerTime = 2000
/** Bytes a refused device may go on sending before it is cut off. */
const lingerBytes = 256 * 1024

export class Session implements Connection, PumpOwner, Swept {
  readonly #hub: Hub
  readonly #device: Socket
  readonly #address: string
  readonly #openedAt: number
  readonly #caller: Caller | undefined
  readonly #state: SessionState
  readonly #judge: Judge
  readonly #record: SessionRecord
  readonly #up: Pump
  #down: Pump | undefined
  #broker: Socket | undefined
  /** Gives up the dial that is under way. */
  #dialling: AbortController | undefined
  #phase: Phase = 'connect'
  /** Milliseconds by the sweep's clock. */
  #deviceHeard: number
  #brokerHeard: number
  #relayedAt = 0
  #closingSince = 0
  #halfClosed = false
  #deviceGone = false
  #brokerGone = true
  #lingered = 0
  /** Bytes waiting to be written, as of the last sweep: while they change, a slow peer is still being served. */
  #unwritten = 0

  constructor({ device, socket, first, hub, before, ...origin }: SessionOptions) {
    const { address, transport, openedAt } = origin
    this.#hub = hub
    this.#state = new SessionState(hub.around)
    this.#device = device
    this.#address = address
    this.#openedAt = openedAt
    this.#caller = origin.caller
    this.#deviceHeard = hub.sweep.now
    this.#brokerHeard = hub.sweep.now
    const register = receptionOf(hub, { socket, address, ja4: origin.hello?.ja4 })
    const refuse: Refuse = ({ detector, summary }) => this.#refuse(Reason.notAuthorized, detector, summary)
    this.#judge = new Judge(hub, { address, transport }, { register, refuse })
    this.#record = new SessionRecord(hub, this.#state, this.#judge, origin)
    hub.sweep.add(this)
    hub.opened(this, before)
    keepLastWords(device, () => this.#lastWords('device'))
    device.on('error', (error) => this.#record.failed('device', error))
    device.on('close', () => this.#closed('device'))
    this.#up = new Pump(this.#stream('up'), device, this)
    if (first.length > 0) this.#up.take(first)
    if (this.#phase !== 'dial') device.resume()
  }

  sweep(now: number): void {
    const { timeouts } = this.#hub.plan
    if (this.#phase === 'closing') {
      if (now - this.#closingSince > lingerTime) this.destroy()
    } else if (this.#phase === 'connect') {
      if (now - this.#openedAt > timeouts.connect) {
        this.#refuse(Reason.unspecified, 'connect-timeout', 'no whole CONNECT within connectTimeout')
      }
    } else if (this.#halfClosed) {
      if (this.#stalled(now)) this.destroy()
    } else if (this.#phase === 'relay') {
      if (now - this.#deviceHeard > this.#judge.silence) this.#silent(now)
      else if (this.#state.connackCode < 0) this.#awaitAnswer(now)
    }
  }

  /** A broker that took CONNECT owes an answer: CONNACK, or AUTH, whose exchange the silence of the device bounds. */
  #awaitAnswer(now: number): void {
    const { connack } = this.#hub.plan.upstream.plan.timeouts
    if (this.#record.bytesDown > 0 || now - this.#relayedAt <= connack) return
    const detail = `the broker did not answer CONNECT within ${connack / 1000} seconds`
    this.#refuse(Reason.serverUnavailable, 'broker-silent', detail, 'broker')
  }

  /** The device was not heard for too long; while it is made to wait for a slow broker, that is not its fault. */
  #silent(now: number): void {
    if (!this.#device.isPaused()) {
      this.#hub.metrics.keepAliveExpired += 1
      const detail = 'nothing heard for 1.5 times the keep alive'
      this.#refuse(Reason.keepAliveTimeout, 'keep-alive-expired', detail)
    } else if (this.#stalled(now)) {
      this.#refuse(Reason.serverUnavailable, 'broker-stalled', 'the broker takes no more bytes', 'broker')
    }
  }

  /** Whether neither leg has sent or taken a byte for as long as a half-closed session may last. */
  #stalled(now: number): boolean {
    const unwritten = this.#device.writableLength + (this.#broker?.writableLength ?? 0)
    if (unwritten !== this.#unwritten) {
      this.#unwritten = unwritten
      this.#deviceHeard = now
    }
    return now - Math.max(this.#deviceHeard, this.#brokerHeard) > this.#hub.plan.timeouts.halfClose
  }

  drain(): void {
    this.#record.because('draining')
    if (this.#phase === 'connect' || this.#phase === 'dial') {
      // Who has not said CONNECT yet has no version to be told in.
      const reason = this.#phase === 'connect' ? Reason.unspecified : Reason.serverShuttingDown
      return this.#refuse(reason, 'draining', 'the proxy is stopping', 'proxy')
    }
    if (this.#phase !== 'relay') return
    // The device may still be sending: its readings go on until it closes; only our side towards it ends now.
    this.#halfClosed = true
    this.#down?.stop()
    endWith(this.#device, this.#lastPacket(Reason.serverShuttingDown))
  }

  destroy(): void {
    this.#device.destroy()
    this.#broker?.destroy()
    if (this.#phase !== 'dial') return
    this.#giveUpDial()
    if (this.#deviceGone) this.#finish()
  }

  // --- what the pumps tell ---

  heard(pump: Pump, bytes: number): void {
    const { metrics, sweep } = this.#hub
    if (pump === this.#up) {
      this.#deviceHeard = sweep.now
      metrics.bytes[ByteCount.deviceReceived]! += bytes
    } else {
      this.#brokerHeard = sweep.now
      metrics.bytes[ByteCount.brokerReceived]! += bytes
    }
  }

  passed(pump: Pump, bytes: number): void {
    const { metrics } = this.#hub
    if (pump !== this.#up) {
      this.#record.bytesDown += bytes
      metrics.bytes[ByteCount.deviceSent]! += bytes
      return this.#noteEnd()
    }
    this.#record.bytesUp += bytes
    metrics.bytes[ByteCount.brokerSent]! += bytes
    if (this.#phase !== 'connect') return this.#noteEnd()
    // CONNECT passed. The broker is dialled once the rest of this read is judged too: behind a good CONNECT may
    // come a bad frame, and then the broker never hears of this device.
    this.#phase = 'dial'
    this.#device.pause()
    queueMicrotask(() => {
      this.#dial().catch((error: unknown) => this.crashed(this.#up, error))
    })
  }

  broken(pump: Pump, outcome: Outcome): void {
    const rule = brokenRule(outcome)
    const { direction, faultAt } = pump.stream
    this.#hub.metrics.ruleHit(rule.id, direction, this.#judge.broken(rule, direction, faultAt))
    const clause = clauseOf(rule, this.#record.version)
    const detail = `${rule.explanation} (${clause}, byte ${faultAt} of the packet)`
    const reason = direction === 'up' ? rule.reason : Reason.unspecified
    this.#refuse(reason, rule.id, detail, senderOf(direction), {
      clause,
      offset: faultAt,
      references: referencesOf(rule),
    })
  }

  ended(pump: Pump): void {
    if (pump === this.#up) return this.#deviceEnded()
    if (this.#state.connackCode < 0) return this.#unanswered()
    this.#record.because('broker-closed')
    this.#halfClosed = true
    endWith(this.#device)
  }

  crashed(_pump: Pump, error: unknown): void {
    this.#record.crashed(error)
    this.#refuse(Reason.unspecified, 'internal-error', 'a defect in Pulseward', 'proxy')
  }

  /** One side has had its last word: once it is written, nothing more goes that way (3.14.4, 3.2.2.2). */
  #noteEnd(): void {
    if (!this.#state.isOver || this.#halfClosed || this.#phase !== 'relay') return
    this.#halfClosed = true
    const left = this.#state.deviceLeft
    this.#record.because(left ? 'device-closed' : 'broker-closed')
    queueMicrotask(() => endWith(left ? this.#broker : this.#device))
  }

  #deviceEnded(): void {
    this.#record.because('device-closed')
    this.#halfClosed = true
    if (this.#phase === 'connect') {
      this.#phase = 'closing'
      this.#closingSince = this.#hub.sweep.now
      endWith(this.#device)
    } else endWith(this.#broker)
  }

  /** The broker closed without CONNACK: it refused our certificate, or what it makes of this CONNECT. */
  #unanswered(): void {
    this.#refuse(
      Reason.serverUnavailable,
      'broker-closed-early',
      'the broker closed without CONNACK',
      'broker',
    )
  }

  // --- the broker's side ---

  async #dial(): Promise<void> {
    if (this.#phase !== 'dial') return
    this.#dialling = new AbortController()
    let connected: Connected
    try {
      connected = await this.#hub.plan.upstream.connect(this.#dialling.signal, this.#caller)
    } catch (error) {
      return this.#noBroker(error)
    }
    if (this.#phase !== 'dial') {
      connected.socket.destroy()
      return
    }
    this.#relay(connected)
  }

  #noBroker(error: unknown): void {
    if (this.#phase !== 'dial') return
    const [code, blame] =
      error instanceof PulsewardError ? [error.code, error.blame] : (['upstream-failed', 'proxy'] as const)
    this.#refuse(Reason.serverUnavailable, code, messageOf(error), blame)
  }

  #relay({ socket, answered, ...connected }: Connected): void {
    this.#phase = 'relay'
    this.#dialling = undefined
    this.#broker = socket
    this.#brokerGone = false
    this.#deviceHeard = this.#hub.sweep.now
    this.#brokerHeard = this.#hub.sweep.now
    this.#relayedAt = this.#hub.sweep.now
    keepLastWords(socket, () => this.#lastWords('broker'))
    socket.on('error', (error) => this.#record.failed('broker', error))
    socket.on('close', () => this.#closed('broker'))
    this.#record.opened(connected)
    this.#judge.greeted = answered
    this.#down = new Pump(this.#stream('down'), socket, this)
    this.#up.open(socket)
    if (this.#deviceGone || this.#up.done || this.#state.deviceLeft) endWith(socket)
    if (!this.#deviceGone) return this.#down.open(this.#device)
    // What the broker answers is for nobody, and must not pile up.
    this.#down.stop()
    socket.resume()
  }

  #giveUpDial(): void {
    this.#phase = 'closing'
    this.#dialling?.abort()
    this.#dialling = undefined
  }

  #stream(direction: 'up' | 'down'): FrameStream {
    const { metrics } = this.#hub
    return new FrameStream(direction, this.#state, {
      counts: metrics.packets,
      hits: metrics.reports[direction],
      tolerated: (rule, offset) => this.#judge.tolerated(rule, direction, offset),
      watched: this.#judge.watched,
      witness: (type, bytes, start, body, end) => {
        const refused = this.#judge.see(type, bytes, start, body, end)
        if (refused === undefined) return true
        this.#refuse(Reason.notAuthorized, refused.detector, refused.summary, senderOf(direction))
        return false
      },
    })
  }

  // --- endings ---

  /** Tells the device in its version's terms, closes both legs, and reads on a while so that the device can read why. */
  #refuse(reason: number, code: string, detail: string, blame: Blame = 'device', breach?: Breach): void {
    if (this.#phase === 'closing') return
    this.#record.refused(code, detail, blame, breach)
    const packet = this.#lastPacket(reason)
    if (this.#phase === 'dial') this.#giveUpDial()
    this.#phase = 'closing'
    this.#closingSince = this.#hub.sweep.now
    this.#up.stop()
    this.#down?.stop()
    this.#device.on('data', (chunk: Buffer) => this.#linger(chunk))
    endWith(this.#device, packet)
    this.#device.resume()
    endWith(this.#broker)
    this.#broker?.resume()
    if (this.#deviceGone && this.#brokerGone) this.#finish()
  }

  /** What the device is told before we close, where the bytes it has so far allow it. */
  #lastPacket(reason: number): Buffer | undefined {
    if (!this.#device.writable || this.#down?.stream.betweenFrames === false) return undefined
    return lastPacket(this.#state, this.#record.version, reason, this.#hub.metrics)
  }

  #linger(chunk: Buffer): void {
    this.#lingered += chunk.length
    if (this.#lingered > lingerBytes) this.destroy()
  }

  /** A peer takes no more bytes; what it said before that is still being read, for a bounded time. */
  #lastWords(leg: LegName): void {
    this.#record.because(`${leg}-reset`)
    this.#halfClosed = true
    // Nothing more can be delivered to this leg, so nothing more is taken from the other.
    if (leg === 'broker') this.#up.stop()
    else this.#down?.stop()
    this.#device.resume()
    this.#broker?.resume()
  }

  /** One socket is closed: the other is ended, which first delivers everything that was read and passed. */
  #closed(leg: LegName): void {
    if (leg === 'device') this.#deviceGone = true
    else this.#brokerGone = true
    // A closed socket takes nothing more: a leg that still wrote to it would wait for a drain that never comes.
    if (leg === 'device') this.#down?.stop()
    else this.#up.stop()
    this.#record.because(`${leg}-closed`)
    this.#halfClosed = true
    if (leg === 'broker' && this.#state.connackCode < 0 && !this.#deviceGone) this.#unanswered()
    if (this.#phase === 'connect') this.#phase = 'closing'
    if (leg === 'device') endWith(this.#broker)
    else endWith(this.#device)
    this.#broker?.resume()
    this.#device.resume()
    if (this.#deviceGone && this.#brokerGone && this.#phase !== 'dial') this.#finish()
  }

  #finish(): void {
    this.#hub.sweep.delete(this)
    this.#record.closed()
    this.#hub.closed(this, this.#address)
  }
}
