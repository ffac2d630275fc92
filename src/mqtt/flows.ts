// The exchanges of QoS 1 and 2 in one direction of publishing: every PUBLISH, and every acknowledgement that goes with it.

import { InFlight, Stage } from './in-flight.ts'
import { PacketType, type Version } from './packet.ts'
import type { PublishView } from './publish.ts'
import type { Outcome } from './rule.ts'
import { rules } from './rules.ts'
import type { Scope } from './scope.ts'

const { puback, pubrec, pubrel, suback } = PacketType
const { free, muddled, echoing } = Stage

type Message = Pick<PublishView, 'packetId' | 'qos' | 'dup'>

/** Bits of an entry behind its stage: times sent again, part of the size, and the two that follow. */
const times = { shift: 4, most: 0x0f } as const
const prints = 0x3f00
/** The identifier was taken again while acknowledgements of its last message may still come. */
const reused = 0x4000
/** Sent more than once, so that more than one acknowledgement may come. */
const echoes = 0x8000

export class Flows {
  /** QoS 1 and 2 messages whose last acknowledgement has not come. */
  open = 0
  /** Whether messages of an earlier connection may come again on this one. */
  resumes = false
  readonly #ids = new InFlight()

  /** A PUBLISH of QoS 1 or 2; `most`: the receive maximum of its receiver; `size`: of the packet, in bytes. */
  publish(message: Message, version: Version, most: number, size: number, scope: Scope, at: number): Outcome {
    const { packetId: id, qos, dup } = message
    const entry = this.#ids.get(id)
    const stage = entry & 0x0f
    const first = qos === 1 ? Stage.puback : Stage.pubrec
    const print = (size << 8) & prints
    if (stage === free || stage === echoing) {
      let outcome = dup && !this.resumes ? scope.breaks(rules.dupUnfounded, at) : 0
      this.open += 1
      if (outcome >= 0 && this.open > most) outcome = scope.breaks(rules.receiveMaximum, at)
      this.#ids.set(id, first | print | (stage === free ? 0 : reused | echoes))
      return outcome
    }
    if (stage === muddled) return 0
    if (stage !== first && !(qos === 2 && stage === Stage.pubrel)) {
      if (!isCounted(stage)) this.open += 1
      this.#ids.set(id, first | print | reused | echoes)
      return scope.breaks(rules.packetIdInUse, at)
    }
    // One of another size is another message, whatever it is called.
    const isSame = (entry & prints) === print
    const resent = isSame ? Math.min(times.most, ((entry >> times.shift) & times.most) + 1) : 0
    const kept = isSame ? stage | (entry & reused) : first | reused
    this.#ids.set(id, kept | (resent << times.shift) | print | echoes)
    let outcome = 0
    if (!dup) outcome = scope.breaks(rules.packetIdInUse, at)
    // What differs was never sent before; and MQTT 5.0 forbids to send again while the connection stands (MQTT-4.4.0-1).
    else if (!isSame || version === 5) outcome = scope.breaks(rules.dupUnfounded, at)
    // A device of 3.1 or 3.1.1 may send again, marked as such, as long as PUBREC is on its way to it.
    const allowed = dup && version !== 5 ? times.most - 1 : scope.book.limits.resends
    if (outcome >= 0 && stage === Stage.pubrel && resent > allowed)
      outcome = scope.breaks(rules.resentTooOften, at)
    return outcome
  }

  /** PUBACK, PUBREC or PUBCOMP of the receiver; `code` is its reason code. */
  acknowledge(id: number, type: number, code: number, scope: Scope, at: number): Outcome {
    const entry = this.#ids.get(id)
    const stage = entry & 0x0f
    if (stage === free) return this.resumes ? 0 : scope.breaks(rules.ackUnknown, at)
    if (stage === echoing) return 0
    if (type === puback) {
      if (stage !== Stage.puback && stage !== muddled) return this.#mismatch(id, entry, scope, at)
      return this.#close(id, entry)
    }
    if (type === pubrec) {
      if (code >= 0x80 && (stage === Stage.pubrec || stage === muddled)) return this.#close(id, entry)
      // What came again before it was received is no sign of anything: the count begins anew.
      if (stage === Stage.pubrec) this.#ids.set(id, (entry & (prints | reused | echoes)) | Stage.pubrel)
      else if (stage !== Stage.pubrel && stage !== Stage.pubcomp && stage !== muddled) {
        return this.#mismatch(id, entry, scope, at)
      }
      return 0
    }
    return stage === Stage.pubcomp || stage === muddled
      ? this.#close(id, entry)
      : this.#mismatch(id, entry, scope, at)
  }

  /** PUBREL of the sender. */
  release(id: number, scope: Scope, at: number): Outcome {
    const entry = this.#ids.get(id)
    const stage = entry & 0x0f
    if (stage === Stage.pubrel) this.#ids.set(id, (entry & (reused | echoes)) | Stage.pubcomp)
    else if (stage === free) {
      // What an earlier connection left over may be released twice, and nobody here can tell when it is over.
      this.#ids.set(id, this.resumes ? echoing : Stage.pubcomp)
      return this.resumes ? 0 : scope.breaks(rules.ackUnknown, at)
    } else if (stage === Stage.pubcomp) this.#ids.set(id, entry | echoes)
    else if (stage !== muddled && stage !== echoing) return this.#mismatch(id, entry, scope, at)
    return 0
  }

  /** SUBSCRIBE or UNSUBSCRIBE, whose identifiers are those of PUBLISH. */
  request(id: number, stage: number, scope: Scope, at: number): Outcome {
    const before = this.#ids.get(id) & 0x0f
    // From here on nobody can tell when the message is over.
    if (isCounted(before)) this.open = Math.max(0, this.open - 1)
    this.#ids.set(id, before === free ? stage : stage | reused | echoes)
    return before === free || before === echoing ? 0 : scope.breaks(rules.packetIdInUse, at)
  }

  /** SUBACK or UNSUBACK. */
  answer(id: number, type: number, scope: Scope, at: number): Outcome {
    const entry = this.#ids.get(id)
    const stage = entry & 0x0f
    if (stage === free) return scope.breaks(rules.answerUnknown, at)
    if (stage === muddled || stage === echoing) return 0
    const wanted = type === suback ? Stage.suback : Stage.unsuback
    if (stage !== wanted) return this.#mismatch(id, entry, scope, at)
    this.#settle(id, entry)
    return 0
  }

  #close(id: number, entry: number): Outcome {
    // A PUBREL that released nothing is closed here without having been counted (MQTT 5.0, 4.9).
    this.open = Math.max(0, this.open - 1)
    this.#settle(id, entry)
    return 0
  }

  /** What was sent twice is acknowledged twice, and its identifier may be taken again in between. */
  #settle(id: number, entry: number): void {
    this.#ids.set(id, (entry & echoes) === 0 ? free : echoing)
  }

  #mismatch(id: number, entry: number, scope: Scope, at: number): Outcome {
    if ((entry & reused) !== 0) return 0
    this.#ids.set(id, muddled | echoes)
    // It may be about a message of an earlier connection: brokers say PUBREC again by themselves, devices forget.
    return this.resumes ? 0 : scope.breaks(rules.ackMismatch, at)
  }
}

/** Whether an identifier in this stage is that of a message, and counts in `open`. */
function isCounted(stage: number): boolean {
  return stage >= Stage.puback && stage <= Stage.pubcomp
}

/** Whether a packet of this type answers the PUBLISH of the other side. */
export function isAcknowledgement(type: number): boolean {
  return type >= puback && type <= PacketType.pubcomp && type !== pubrel
}
