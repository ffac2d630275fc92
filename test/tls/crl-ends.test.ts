// Lists that end: told once a day, in the last quarter of their life and again once it is over.

import { expect, test } from 'vitest'
import { readCrls } from '../../src/tls/crl.ts'
import { ListReminders } from '../../src/tls/crl-ends.ts'
import { CrlSource } from '../../src/tls/crl-source.ts'
import { makeCa } from '../help/certificates.ts'
import { makeList } from '../help/revocation.ts'

const hour = 3_600_000

test('a list is told of when three quarters of it are over, day by day, and when it has ended', () => {
  const from = Date.UTC(2026, 0, 1)
  const to = from + 96 * hour
  const source = new CrlSource('/lists/ca.crl')
  const issuer = makeCa('Listing CA')
  const reminders = new ListReminders()
  const dueAfter = (hours: number): readonly boolean[] =>
    reminders.due([source], from + hours * hour).map(({ ended }) => ended)
  expect(dueAfter(95)).toEqual([])
  source.adopt(readCrls(makeList({ issuer, from, to })))
  expect(dueAfter(71)).toEqual([])
  expect(reminders.due([source], from + 73 * hour)).toEqual([
    { ended: false, crl: '/lists/ca.crl', issuer: 'listing ca', nextUpdate: '2026-01-05T00:00:00.000Z' },
  ])
  expect(dueAfter(80)).toEqual([])
  expect(dueAfter(97)).toEqual([true])
  expect(dueAfter(98)).toEqual([])
  expect(dueAfter(122)).toEqual([true])
  source.adopt(readCrls(makeList({ issuer, from: from + 120 * hour, to: to + 120 * hour })))
  expect(dueAfter(123)).toEqual([])
})
