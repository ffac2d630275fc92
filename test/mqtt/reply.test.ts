import { describe, expect, test } from 'vitest'
import { PacketType } from '../../src/mqtt/packet.ts'
import { reasonAllowed } from '../../src/mqtt/reasons.ts'
import { Reason, refusal } from '../../src/mqtt/reply.ts'
import { allRules } from '../../src/mqtt/rules.ts'
import { judge, type Step } from '../help/judge.ts'
import { connectPacket, connackPacket } from '../help/packets.ts'
import { vectorLimits } from '../help/vectors.ts'

const reasons = [...new Set([...Object.values(Reason), ...allRules.map(({ reason }) => reason)])]

describe('a refused device', () => {
  test.each([
    ['MQTT 3.1', 3],
    ['MQTT 3.1.1', 4],
    ['a version we could not read', 0],
  ] as const)('hears the return codes of CONNACK in %s', (_, version) => {
    const told = (reason: number): string | undefined => refusal(version, false, reason)?.toString('hex')
    expect(told(Reason.unsupportedVersion)).toBe('20020001')
    expect(told(Reason.clientIdNotValid)).toBe('20020002')
    expect(told(Reason.serverUnavailable)).toBe('20020003')
    expect(told(Reason.serverBusy)).toBe('20020003')
    expect(told(Reason.serverShuttingDown)).toBe('20020003')
    expect(told(Reason.badCredentials)).toBe('20020004')
    expect(told(Reason.notAuthorized)).toBe('20020005')
  })

  test.each([3, 4, 0] as const)('hears nothing where version %i has no word for it', (version) => {
    for (const reason of [Reason.malformed, Reason.protocolError, Reason.packetTooLarge, 0x8f, 0x90]) {
      expect(refusal(version, false, reason)).toBeUndefined()
    }
    for (const reason of reasons) expect(refusal(version, true, reason)).toBeUndefined()
  })

  test('hears the reason itself in MQTT 5.0', () => {
    expect(refusal(5, false, Reason.malformed)?.toString('hex')).toBe('2003008100')
    expect(refusal(5, false, Reason.unsupportedVersion)?.toString('hex')).toBe('2003008400')
    expect(refusal(5, true, Reason.packetTooLarge)?.toString('hex')).toBe('e0029500')
    expect(refusal(5, true, Reason.keepAliveTimeout)?.toString('hex')).toBe('e0028d00')
    expect(refusal(5, true, Reason.serverShuttingDown)?.toString('hex')).toBe('e0028b00')
  })

  test('hears the nearest reason where the packet does not have it', () => {
    expect(refusal(5, false, Reason.serverShuttingDown)?.toString('hex')).toBe('2003008800')
    expect(refusal(5, true, Reason.serverUnavailable)?.toString('hex')).toBe('e0028b00')
    expect(refusal(5, true, Reason.badCredentials)?.toString('hex')).toBe('e0028700')
    expect(refusal(5, false, Reason.keepAliveTimeout)?.toString('hex')).toBe('2003008000')
    // A filter refused before CONNACK: topic filter invalid is not a reason of CONNACK.
    expect(refusal(5, false, 0x8f)?.toString('hex')).toBe('2003008000')
  })

  test.each(reasons)(
    'never hears a packet in MQTT 5.0 that we would refuse ourselves: reason %i',
    (reason) => {
      const connect: Step = { direction: 'up', bytes: connectPacket({ version: 5 }) }
      const before = judge([connect, { direction: 'down', bytes: refusal(5, false, reason)! }], {
        limits: vectorLimits,
      })
      expect(before).toMatchObject({ verdict: 'pass', held: { up: 0, down: 0 } })
      const after = judge(
        [
          connect,
          { direction: 'down', bytes: connackPacket(5) },
          { direction: 'down', bytes: refusal(5, true, reason)! },
        ],
        { limits: vectorLimits },
      )
      expect(after).toMatchObject({ verdict: 'pass', held: { up: 0, down: 0 } })
    },
  )

  test.each(reasons)('never hears "success" for a refusal: reason %i', (reason) => {
    expect(refusal(5, false, reason)?.[3]).toBeGreaterThanOrEqual(0x80)
    expect(refusal(5, true, reason)?.[2]).toBeGreaterThanOrEqual(0x80)
  })
})

test('the reasons of rules are reasons of DISCONNECT or of CONNACK', () => {
  for (const { id, reason } of allRules) {
    const known =
      reasonAllowed(reason, PacketType.disconnect, 5, 'down') ||
      reasonAllowed(reason, PacketType.connack, 5, 'down')
    expect({ id, known }).toEqual({ id, known: true })
  }
})
