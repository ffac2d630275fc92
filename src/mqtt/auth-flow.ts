// Enhanced authentication (MQTT 5.0, 4.12): whose turn it is to say AUTH, and by which method.

import { authDataSeen, authMethodSeen } from './properties.ts'
import { PacketType } from './packet.ts'
import type { Outcome } from './rule.ts'
import { rules } from './rules.ts'
import type { Scope } from './scope.ts'
import { uint16 } from './text.ts'

const { auth, disconnect } = PacketType
const success = 0x00
const goOn = 0x18
const again = 0x19

export class AuthFlow {
  /** The method CONNECT named. */
  readonly #method: Buffer | undefined
  /** Who has to speak next; nobody once it is settled. */
  #turn: 'device' | 'broker' | 'nobody'

  constructor(method: Buffer | undefined) {
    this.#method = method
    this.#turn = method === undefined ? 'nobody' : 'broker'
  }

  /** Any packet of a device before CONNACK (MQTT-3.1.2-30). */
  checkWait(type: number, scope: Scope, at: number): Outcome {
    const waits = this.#method !== undefined && type !== auth && type !== disconnect
    return waits ? scope.breaks(rules.authInterrupted, at) : 0
  }

  /** An AUTH whose body passed; `answered`: whether CONNACK has come. */
  packet(bytes: Buffer, body: number, end: number, answered: boolean, scope: Scope): Outcome {
    if (this.#method === undefined) return scope.breaks(rules.authUnasked, body)
    const code = end === body ? success : bytes[body]!
    let outcome = end === body ? 0 : this.#checkMethod(bytes, body, scope)
    if (outcome >= 0 && !this.#mayCome(code, answered, scope))
      outcome = scope.breaks(rules.authOutOfTurn, body)
    if (code === success) this.#turn = 'nobody'
    else this.#turn = scope.direction === 'up' ? 'broker' : 'device'
    return outcome
  }

  /** The properties of a CONNACK, which were checked; it settles the first authentication. */
  settle(bytes: Buffer, body: number, scope: Scope): Outcome {
    this.#turn = 'nobody'
    if ((scope.seen & (authMethodSeen | authDataSeen)) === 0) return 0
    if (this.#method === undefined) return scope.breaks(rules.connackAuth, body)
    return this.#checkMethod(bytes, body, scope)
  }

  #checkMethod(bytes: Buffer, body: number, scope: Scope): Outcome {
    if ((scope.seen & authMethodSeen) === 0) return scope.breaks(rules.authMethod, body)
    const at = scope.methodAt
    const same = this.#method?.compare(bytes, at + 2, at + 2 + uint16(bytes, at)) === 0
    return same ? 0 : scope.breaks(rules.authMethod, at)
  }

  #mayCome(code: number, answered: boolean, { direction }: Scope): boolean {
    if (direction === 'up') {
      if (code === again) return answered && this.#turn === 'nobody'
      return code === goOn && this.#turn === 'device'
    }
    // Success before CONNACK is what CONNACK itself says (3.15.2.1).
    return this.#turn === 'broker' && (code === goOn || (code === success && answered))
  }
}
