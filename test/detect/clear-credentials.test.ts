import { expect, test } from 'vitest'
import type { Subject } from '../../src/detect/detector.ts'
import type { Finding } from '../../src/detect/finding.ts'
import { createDetector } from '../../src/detect/registry.ts'
import { readConnect } from '../../src/mqtt/connect.ts'
import { connectPacket, type ConnectShape } from '../help/packets.ts'

const plain: Subject = {
  listener: 'ward',
  transport: 'plain',
  address: '192.0.2.7',
  clientId: 'pump-7',
  version: 4,
  hasUsername: false,
  hasPassword: false,
}
const detector = createDetector({ kind: 'clear-credentials', action: 'report' })
const password = Buffer.from('hunter2')

/** What the detector says of a CONNECT, read as a session reads it. */
function look(frame: Buffer, subject: Subject = plain): Finding | undefined {
  const { hasUsername, hasPassword } = readConnect(frame, 2, frame.length)
  return detector.greet?.({ ...subject, hasUsername, hasPassword })
}

test('watches CONNECT alone', () => {
  expect(detector.watches).toEqual(['connect'])
})

test.each<[string, Partial<ConnectShape>, boolean]>([
  ['user name and password', { version: 4, username: 'ward', password }, true],
  ['a user name alone', { version: 4, username: 'ward' }, false],
  ['an empty user name', { version: 3, username: '' }, false],
  ['a password alone, as MQTT 5.0 allows', { version: 5, password }, true],
  ['an empty password', { version: 5, password: Buffer.alloc(0) }, true],
])('notices %s in plain sight', (_, shape, hasPassword) => {
  expect(look(connectPacket({ version: 4, ...shape }))).toMatchObject({
    detector: 'clear-credentials',
    severity: 'info',
    evidence: { hasPassword },
  })
})

test('notices nothing where there are no credentials', () => {
  for (const version of [3, 4, 5] as const) expect(look(connectPacket({ version }))).toBeUndefined()
})

test('notices nothing behind TLS', () => {
  const frame = connectPacket({ version: 4, username: 'ward', password })
  expect(look(frame, { ...plain, transport: 'tls' })).toBeUndefined()
})

test('tells no secret', () => {
  const finding = look(connectPacket({ version: 4, username: 'nurse-joy', password }))
  expect(JSON.stringify(finding)).not.toMatch(/nurse-joy|hunter2/)
})
