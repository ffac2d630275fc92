// Packet identifiers in flight, against a Map that does the same.

import fc, { type Command } from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { InFlight } from '../../src/mqtt/in-flight.ts'

type Model = Map<number, number>

class Put implements Command<Model, InFlight> {
  readonly #id: number
  readonly #value: number

  constructor(id: number, value: number) {
    this.#id = id
    this.#value = value
  }

  check(): boolean {
    return true
  }

  run(model: Model, real: InFlight): void {
    real.set(this.#id, this.#value)
    if (this.#value === 0) model.delete(this.#id)
    else model.set(this.#id, this.#value)
    expect(real.get(this.#id)).toBe(this.#value)
  }

  toString(): string {
    return `set ${this.#id} to ${this.#value}`
  }
}

class Look implements Command<Model, InFlight> {
  readonly #id: number

  constructor(id: number) {
    this.#id = id
  }

  check(): boolean {
    return true
  }

  run(model: Readonly<Model>, real: InFlight): void {
    for (const id of [this.#id, ...model.keys()]) {
      const wanted = model.get(id) ?? 0
      if (real.get(id) !== wanted) expect(real.get(id), `${id}`).toBe(wanted)
    }
  }

  toString(): string {
    return `get ${this.#id}`
  }
}

/** Few pages and few places in each, so that pages empty and fill again; now and then any identifier at all. */
const ids = fc.oneof(
  fc.tuple(fc.nat(3), fc.nat(3)).map(([page, place]) => page * 256 + place),
  fc.integer({ min: 0, max: 65_535 }),
)
const values = fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 1, max: 0xffff }))

/** How many pages are made while `act` runs. */
function pagesMade(act: () => void): number {
  const plain = globalThis.Uint16Array
  let made = 0
  vi.stubGlobal(
    'Uint16Array',
    class extends plain {
      constructor(size: number) {
        super(size)
        made += 1
      }
    },
  )
  try {
    act()
  } finally {
    vi.unstubAllGlobals()
  }
  return made
}

describe('what is in flight', () => {
  test('is what a Map would say', () => {
    const commands = [
      fc.tuple(ids, values).map(([id, value]) => new Put(id, value)),
      ids.map((id) => new Look(id)),
    ]
    fc.assert(
      fc.property(fc.commands(commands, { maxCommands: 150 }), (plan) => {
        fc.modelRun(() => ({ model: new Map<number, number>(), real: new InFlight() }), plan)
      }),
      { numRuns: 200 },
    )
  })

  test('takes no page for what is free', () => {
    const ids16 = new InFlight()
    expect(
      pagesMade(() => {
        for (let id = 0; id < 65_536; id++) {
          ids16.set(id, 0)
          expect(ids16.get(id)).toBe(0)
        }
      }),
    ).toBe(0)
  })

  test('takes one page when identifiers count up and each is acknowledged', () => {
    const ids16 = new InFlight()
    const made = pagesMade(() => {
      for (let round = 0; round < 3; round++)
        for (let id = 1; id < 65_536; id++) {
          ids16.set(id, 1)
          ids16.set(id, 0)
        }
    })
    expect(made).toBe(1)
  })

  test('takes two pages where a window moves over all identifiers, and 256 for all of them', () => {
    const ids16 = new InFlight()
    const moving = pagesMade(() => {
      for (let id = 0; id < 65_536; id++) {
        ids16.set(id, 1)
        ids16.set((id + 65_536 - 200) & 0xffff, 0)
      }
    })
    expect(moving).toBe(2)
    const all = pagesMade(() => {
      for (let round = 0; round < 2; round++) for (let id = 0; id < 65_536; id++) ids16.set(id, 0xffff)
    })
    expect(all + moving).toBe(256)
  })

  test('never takes more pages than identifiers, and hands out pages without a trace of the last', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(ids, values), { maxLength: 200 }), (moves) => {
        const ids16 = new InFlight()
        const open = new Set<number>()
        let most = 0
        const made = pagesMade(() => {
          for (const [id, value] of moves) {
            ids16.set(id, value)
            if (value === 0) open.delete(id)
            else open.add(id)
            most = Math.max(most, open.size)
          }
        })
        // One may be kept for the next.
        expect(made).toBeLessThanOrEqual(most + 1)
        for (const id of open) ids16.set(id, 0)
        for (let page = 0; page < 4; page++) {
          ids16.set(page * 256 + 255, 1)
          for (let place = 0; place < 255; place++) expect(ids16.get(page * 256 + place)).toBe(0)
        }
      }),
      { numRuns: 60 },
    )
  })
})
