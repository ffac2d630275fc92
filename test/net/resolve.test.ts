// Every address of a name: bounded in number and time, in an order that stays.

import { describe, expect, test } from 'vitest'
import { resolveAll, systemLookup, type Lookup } from '../../src/net/resolve.ts'

const never = new AbortController().signal
const silent: Lookup = async () => await new Promise<never>(() => {})

const ask = async (host: string, lookup: Lookup, signal = never, timeout = 5000) =>
  await resolveAll(host, { lookup, timeout, signal })

describe('resolveAll', () => {
  test('is every address once, IPv4 and IPv6, in the same order however the answers rotate', async () => {
    const rotated = [
      ['192.0.2.2', '2001:db8::1', '192.0.2.1', '192.0.2.2'],
      ['2001:db8::1', '192.0.2.1', '192.0.2.2'],
    ]
    for (const answers of rotated) {
      const addresses = ['192.0.2.1', '192.0.2.2', '2001:db8::1']
      expect(await ask('broker.example', async () => answers)).toEqual({ addresses, omitted: 0 })
    }
  })

  test.each(['192.0.2.7', '::1'])('%s stands for itself, and nobody is asked', async (address) => {
    expect(await ask(address, silent)).toEqual({ addresses: [address], omitted: 0 })
  })

  test('no more than sixteen, and how many are left out', async () => {
    const many = Array.from({ length: 20 }, (_, index) => `192.0.2.${100 + index}`)
    const { addresses, omitted } = await ask('broker.example', async () => many)
    expect([addresses.length, omitted]).toEqual([16, 4])
  })

  test.each([[[]], [['nonsense', '']]])('%j is no address', async (answers) => {
    await expect(ask('broker.example', async () => answers)).rejects.toMatchObject({ code: 'ENODATA' })
  })

  test('a resolver that does not answer is not waited for', async () => {
    await expect(ask('broker.example', silent, never, 20)).rejects.toMatchObject({ code: 'ETIMEDOUT' })
  })

  test('can be given up', async () => {
    const leaving = new AbortController()
    const asked = ask('broker.example', silent, leaving.signal)
    leaving.abort()
    await expect(asked).rejects.toMatchObject({ code: 'ABORT_ERR' })
    await expect(ask('broker.example', silent, leaving.signal)).rejects.toMatchObject({ code: 'ABORT_ERR' })
  })
})

test('the resolver of this machine knows localhost', async () => {
  expect(await systemLookup('localhost')).toEqual(
    expect.arrayContaining([expect.stringMatching(/^(127\.|::1)/)]),
  )
})
