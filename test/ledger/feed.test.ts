// The feed from `ip`: what it reads, what it does when `ip` ends or is not there, and that no line can be too long.

import { chmod } from 'node:fs/promises'
import { expect, test } from 'vitest'
import type { NeighbourEntry } from '../../src/identity/neighbours.ts'
import { lines, NeighbourFeed } from '../../src/ledger/feed.ts'
import { Folder } from '../help/folder.ts'
import { eventually } from '../help/wait.ts'

/** A feed from a program in the place of `ip`. */
async function feedFrom(script: string) {
  const folder = await Folder.make({ ip: `#!/bin/sh\n${script}\n` })
  await chmod(folder.at('ip'), 0o700)
  const entries: NeighbourEntry[] = []
  const states: string[] = []
  const feed = new NeighbourFeed({
    command: folder.at('ip'),
    entry: (entry) => entries.push(entry),
    state: (state) => states.push(state),
  })
  const end = async (): Promise<void> => {
    feed[Symbol.dispose]()
    await folder[Symbol.asyncDispose]()
  }
  return { entries, states, [Symbol.asyncDispose]: end }
}

const station = '192.0.2.7 dev v0 lladdr 02:00:00:00:00:07 REACHABLE'

test('what is there and what changes are both read', async () => {
  await using feed = await feedFrom(
    `if [ "$1" = neigh ]; then echo "${station}"; else echo "192.0.2.8 dev v0 FAILED"; exec sleep 60; fi`,
  )
  await eventually('both entries', () => feed.entries.length === 2)
  expect(feed.entries.map(({ address }) => address).toSorted()).toEqual(['192.0.2.7', '192.0.2.8'])
  expect(feed.states).toEqual(['on'])
})

test('it is started again when it ends', async () => {
  await using feed = await feedFrom(`[ "$1" = neigh ] && echo "${station}"`)
  await eventually('a second start', () => feed.states.join(' ').startsWith('on restarting on'))
  await eventually('the table twice', () => feed.entries.length >= 2)
})

test('without the program it is off, and says so once', async () => {
  const states: string[] = []
  using _ = new NeighbourFeed({
    command: '/nonexistent/ip',
    entry: () => {},
    state: (state, why) => states.push(`${state}: ${why}`),
  })
  await eventually('that it is off', () => states.length > 0)
  expect(states).toEqual(['off: there is no program "ip" (Debian: iproute2)'])
})

test('lines are cut wherever the text was cut, and what is too long is left out', () => {
  const read: string[] = []
  const take = lines((line) => read.push(line))
  for (const text of ['a', 'b\ncd\n', 'x'.repeat(600), 'y\nef', '\n', `${'z'.repeat(600)}\ngh\n`]) take(text)
  expect(read).toEqual(['ab', 'cd', 'ef', 'gh'])
})
