// Enhanced authentication as a state machine: every conversation of up to five packets, against a table.

import { describe, expect, test } from 'vitest'
import { AuthFlow } from '../../src/mqtt/auth-flow.ts'
import { PacketType, type Direction } from '../../src/mqtt/packet.ts'
import { checkProperties } from '../../src/mqtt/properties.ts'
import { brokenRule } from '../../src/mqtt/rules.ts'
import { block, bytes, field } from '../help/packets.ts'
import { scopeOf } from '../help/scope.ts'

const { auth, connack, publish, pingreq, disconnect } = PacketType

type State = 'asked' | 'challenged' | 'settled' | 'asked again' | 'challenged again'
type Word = 'go on up' | 'again up' | 'success up' | 'go on down' | 'again down' | 'success down' | 'connack'

/** Figures of MQTT 5.0, 4.12: what may be said in each state, and which state follows. */
const table: Readonly<Record<State, Partial<Readonly<Record<Word, State>>>>> = {
  asked: { 'go on down': 'challenged', connack: 'settled' },
  // A broker may have heard enough: it refuses, or lets the device in.
  challenged: { 'go on up': 'asked', connack: 'settled' },
  settled: { 'again up': 'asked again' },
  'asked again': { 'go on down': 'challenged again', 'success down': 'settled' },
  'challenged again': { 'go on up': 'asked again' },
}
const words: readonly Word[] = [
  'go on up',
  'again up',
  'success up',
  'go on down',
  'again down',
  'success down',
  'connack',
]
const codes: Readonly<Record<string, number>> = { success: 0x00, go: 0x18, again: 0x19 }

class Desk {
  readonly flow: AuthFlow
  #answered = false

  constructor(method: string | undefined) {
    this.flow = new AuthFlow(method === undefined ? undefined : Buffer.from(method))
  }

  /** An AUTH, with the properties given; none at all where they are undefined. */
  auth(direction: Direction, code: number, content: Buffer | undefined): string {
    const scope = scopeOf({ direction, preset: 'strict' })
    const packet = content === undefined ? bytes('..') : bytes('..', code, block(content))
    if (content !== undefined) checkProperties(packet, 3, packet.length, auth, scope)
    return named(this.flow.packet(packet, 2, packet.length, this.#answered, scope))
  }

  connack(content: Buffer): string {
    const scope = scopeOf({ direction: 'down', preset: 'strict' })
    const packet = bytes('..', 0, 0, block(content))
    checkProperties(packet, 4, packet.length, connack, scope)
    this.#answered = true
    return named(this.flow.settle(packet, 2, scope))
  }

  say(word: Word): string {
    const content = bytes(21, field('SCRAM'))
    if (word === 'connack') return this.connack(content)
    return this.auth(word.endsWith('up') ? 'up' : 'down', codes[word.split(' ')[0]!]!, content)
  }
}

function named(outcome: number): string {
  return outcome < 0 ? brokenRule(outcome).id : 'passes'
}

/** Every conversation that is legal up to its last word, of up to `most` words. */
function* conversations(most: number): Generator<readonly Word[]> {
  const all: { said: readonly Word[]; state: State }[] = [{ said: [], state: 'asked' }]
  for (let next = all.shift(); next !== undefined; next = all.shift()) {
    for (const word of words) {
      // A second CONNACK never gets here.
      if (word === 'connack' && next.said.includes('connack')) continue
      const said = [...next.said, word]
      yield said
      const state = table[next.state][word]
      if (state !== undefined && said.length < most) all.push({ said, state })
    }
  }
}

describe('an authentication', () => {
  test('goes as the table says, in all conversations of up to eight packets', () => {
    let seen = 0
    for (const said of conversations(8)) {
      const desk = new Desk('SCRAM')
      let state: State | undefined = 'asked'
      for (const word of said) {
        const next: State | undefined = state === undefined ? undefined : table[state][word]
        expect(desk.say(word), said.join(', ')).toBe(next === undefined ? 'auth-out-of-turn' : 'passes')
        state = next
      }
      seen += 1
    }
    expect(seen).toBeGreaterThan(200)
  })

  test('says the same in all sequences of five words, however many of them are wrong', () => {
    // What was let pass out of turn gives the turn to the other side, or to nobody.
    const size = words.length
    for (let number = 0; number < size ** 5; number++) {
      const said = Array.from({ length: 5 }, (_, place) => words[Math.floor(number / size ** place) % size]!)
      if (said.filter((word) => word === 'connack').length > 1) continue
      const desk = new Desk('SCRAM')
      let answered = false
      let turn = 'broker'
      for (const word of said) {
        const side = word.endsWith('up') ? 'device' : 'broker'
        let may = true
        if (word === 'connack') answered = true
        else if (word === 'again up') may = answered && turn === 'nobody'
        else if (word === 'success down') may = answered && turn === 'broker'
        else may = word.startsWith('go on') && turn === side
        if (word === 'connack' || word.startsWith('success')) turn = 'nobody'
        else turn = side === 'device' ? 'broker' : 'device'
        const verdict = desk.say(word)
        const expected = may ? 'passes' : 'auth-out-of-turn'
        if (verdict !== expected) expect(verdict, said.join(', ')).toBe(expected)
      }
    }
  })

  test('sticks to the method of CONNECT', () => {
    expect(new Desk('SCRAM').auth('down', 0x18, bytes(21, field('PLAIN')))).toBe('auth-method')
    expect(new Desk('SCRAM').auth('down', 0x18, bytes(22, field('data')))).toBe('auth-method')
    expect(new Desk('SCRAM').auth('down', 0x18, bytes(22, field('data'), 21, field('SCRAM')))).toBe('passes')
    expect(new Desk('').auth('down', 0x18, bytes(21, field('')))).toBe('passes')
    expect(new Desk('SCRAM').connack(bytes(21, field('SCRAM2')))).toBe('auth-method')
    expect(new Desk('SCRAM').connack(bytes(22, field('data')))).toBe('auth-method')
    expect(new Desk('SCRAM').connack(bytes())).toBe('passes')
  })

  test('may end with an AUTH that says nothing but success', () => {
    const desk = new Desk('SCRAM')
    for (const word of ['connack', 'again up'] as const) expect(desk.say(word)).toBe('passes')
    expect(desk.auth('down', 0, undefined)).toBe('passes')
    expect(desk.say('again up')).toBe('passes')
  })

  test('was asked for by the device, or there is none', () => {
    const desk = new Desk(undefined)
    expect(desk.say('go on down')).toBe('auth-unasked')
    expect(desk.connack(bytes())).toBe('passes')
    expect(desk.say('again up')).toBe('auth-unasked')
    expect(new Desk(undefined).connack(bytes(21, field('SCRAM')))).toBe('connack-auth')
    expect(new Desk(undefined).connack(bytes(22, field('data')))).toBe('connack-auth')
  })
})

describe('a device that waits for CONNACK', () => {
  test.each([
    [auth, 'passes'],
    [disconnect, 'passes'],
    [publish, 'auth-interrupted'],
    [pingreq, 'auth-interrupted'],
  ])('may send packets of type %i: %s', (type, verdict) => {
    expect(named(new Desk('SCRAM').flow.checkWait(type, scopeOf(), 0))).toBe(verdict)
    expect(named(new Desk(undefined).flow.checkWait(type, scopeOf(), 0))).toBe('passes')
  })
})
