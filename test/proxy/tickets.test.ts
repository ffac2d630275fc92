// Which ticket is offered to a server, and when another is asked for.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Tickets, type Ticket } from '../../src/proxy/tickets.ts'
import type { Verdict } from '../../src/tls/verdict.ts'

const hour = 3_600_000
const verdict = { verdict: 'trusted' } as Verdict

/** A server as far as tickets go: each of its handshakes brings two tickets, if they are asked for. */
class Counter {
  readonly tickets = new Tickets()
  now = 0
  asked = 0
  full = 0
  #count = 0
  #known = new Set<Buffer>()
  readonly #takesOnce: boolean

  constructor(takesOnce = false) {
    this.#takesOnce = takesOnce
  }

  restart(): void {
    this.#known.clear()
  }

  shakeHands(): { readonly resumed: boolean; readonly offered: Ticket | undefined } {
    const offered = this.tickets.offer(this.now)
    const wanted = this.tickets.wants(offered, this.now)
    const resumed = offered !== undefined && this.#known.has(offered.session)
    if (resumed && this.#takesOnce) this.#known.delete(offered.session)
    if (!resumed) this.full += 1
    const until = this.tickets.tried(offered, resumed, this.now)
    if (wanted) for (let n = 0; n < 2; n += 1) this.#give(until)
    return { resumed, offered }
  }

  #give(until: number): void {
    this.asked += 1
    this.#count += 1
    const session = Buffer.from(String(this.#count))
    this.#known.add(session)
    this.tickets.keep({ session, verdict, until })
  }
}

describe('tickets', () => {
  test('one that was good is offered again, and no more are asked for', () => {
    const server = new Counter()
    for (let count = 0; count < 100; count += 1) server.shakeHands()
    expect(server).toMatchObject({ full: 1, asked: 4 })
  })

  test('of a server that takes each once, every new one is taken', () => {
    const server = new Counter(true)
    for (let count = 0; count < 100; count += 1) server.shakeHands()
    // The first, one that finds out, and one that asks.
    expect(server.full).toBe(3)
    expect(server.asked).toBeGreaterThan(190)
  })

  test('a server that was started anew costs two full handshakes', () => {
    const server = new Counter()
    for (let count = 0; count < 10; count += 1) server.shakeHands()
    server.restart()
    for (let count = 0; count < 10; count += 1) server.shakeHands()
    expect(server).toMatchObject({ full: 3, asked: 8 })
  })

  test('a server that honours none is asked three times a minute, not each time', () => {
    const server = new Counter()
    for (let count = 0; count < 100; count += 1) {
      server.restart()
      server.shakeHands()
    }
    expect(server.asked).toBe(2 * 4)
    server.now += 60_000
    for (let count = 0; count < 10; count += 1) server.shakeHands()
    expect(server).toMatchObject({ full: 101, asked: 2 * 6 })
  })

  test('whatever happens, none is offered an hour after the handshake that showed the certificates', () => {
    const step = fc.oneof(
      fc.record({ wait: fc.integer({ min: 0, max: hour }) }),
      fc.constant('restart' as const),
      fc.constant('drop' as const),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, takesOnce) => {
        const server = new Counter(takesOnce)
        let shownAt = 0
        for (const one of steps) {
          if (one === 'restart') server.restart()
          else if (one === 'drop') server.tickets.drop()
          else server.now += one.wait
          const { resumed, offered } = server.shakeHands()
          if (offered !== undefined) expect(server.now - shownAt).toBeLessThanOrEqual(hour)
          if (!resumed) shownAt = server.now
        }
      }),
    )
  })
})
