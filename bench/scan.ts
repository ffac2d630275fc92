// Counts the packets of one MQTT connection and says what a broker would answer, at a few nanoseconds a packet.
import { CONNACK, PINGRESP } from './frames.ts'

/** No packet that the sink must hold whole is longer; the load sends nothing near it. */
const MAX_HELD = 64 * 1024

export class Scanner {
  connects = 0
  publishes = 0
  /** Set once a DISCONNECT arrived: the connection is to be closed. */
  ended = false
  #skip = 0
  #held: Buffer | undefined

  /**
   * Takes the next bytes of the connection, split anywhere.
   * @returns the answers they call for, as one piece, or undefined when none is due
   * @throws {Error} when the bytes are not MQTT as the load sends it
   */
  take(bytes: Buffer): Buffer | undefined {
    const answers: Uint8Array[] = []
    const chunk = this.#held === undefined ? bytes : Buffer.concat([this.#held, bytes])
    this.#held = undefined
    let at = Math.min(this.#skip, chunk.length)
    this.#skip -= at
    while (at < chunk.length) {
      const next = this.#packet(chunk, at, answers)
      if (next < 0) {
        this.#hold(chunk.subarray(at))
        break
      }
      at = next
    }
    return answers.length === 0 ? undefined : Buffer.concat(answers)
  }

  /** Reads the packet at `at`; returns where the next one starts, or -1 when bytes are missing. */
  #packet(chunk: Buffer, at: number, answers: Uint8Array[]): number {
    const first = chunk[at] ?? 0
    let length = 0
    let body = at + 1
    for (let shift = 1; ; shift *= 128) {
      if (body >= chunk.length) return -1
      if (body - at > 4) throw new Error('the sink received a remaining length of more than four bytes')
      const byte = chunk[body++] ?? 0
      length += (byte & 0x7f) * shift
      if (byte < 0x80) break
    }
    const end = body + length
    // A QoS 0 PUBLISH needs no answer, so its body is never held.
    if ((first & 0xf6) === 0x30) {
      this.publishes++
      this.#skip = Math.max(0, end - chunk.length)
      return Math.min(end, chunk.length)
    }
    if (end > chunk.length) return -1
    this.#answer(first, chunk.subarray(body, end), answers)
    return end
  }

  #answer(first: number, body: Buffer, answers: Uint8Array[]): void {
    switch (first >> 4) {
      case 1:
        this.connects++
        answers.push(CONNACK)
        return
      case 3:
        this.publishes++
        answers.push(acknowledge(0x40, body, 2 + body.readUInt16BE(0)))
        return
      case 8:
        answers.push(Uint8Array.of(0x90, 3, body[0] ?? 0, body[1] ?? 0, 0))
        return
      case 12:
        answers.push(PINGRESP)
        return
      case 14:
        this.ended = true
        return
      default:
        throw new Error(`the sink received a packet it does not know, first byte 0x${first.toString(16)}`)
    }
  }

  #hold(rest: Buffer): void {
    if (rest.length > MAX_HELD) throw new Error(`the sink received a packet of more than ${MAX_HELD} bytes`)
    this.#held = Buffer.from(rest)
  }
}

function acknowledge(type: number, body: Buffer, idAt: number): Uint8Array {
  return Uint8Array.of(type, 2, body.readUInt8(idAt), body.readUInt8(idAt + 1))
}
