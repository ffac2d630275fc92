import { expect, test } from 'vitest'
import { Abilities } from '../../src/net/abilities.ts'
import { openNative, type SystemCalls } from '../../src/net/native.ts'

const onLinux = process.platform === 'linux'

/** System calls of which those that change a socket end as `errno` says. */
function calls(errno: number): SystemCalls {
  const result = errno === 0 ? 0 : -1
  return {
    getsockopt: () => result,
    setsockopt: () => result,
    socket: () => 7,
    bind: () => result,
    close: () => 0,
    errno: () => errno,
  }
}

test('without the native library everything is off, with the way to it', () => {
  const abilities = new Abilities(() => ({ why: 'koffi cannot be loaded' }))
  expect(abilities.native('redirect')).toBeUndefined()
  expect(abilities.missing('tproxy')).toMatchObject({
    feature: 'tproxy',
    why: 'koffi cannot be loaded',
    hint: expect.stringContaining('npm install') as string,
  })
})

test.skipIf(!onLinux)('without the capability a redirect still works, and the rest names it', () => {
  const abilities = new Abilities(() => openNative(() => calls(1)))
  expect(abilities.missing('redirect')).toBeUndefined()
  expect(abilities.native('redirect')).toBeDefined()
  for (const feature of ['tproxy', 'preserve-source'] as const) {
    expect(abilities.native(feature)).toBeUndefined()
    expect(abilities.missing(feature)).toMatchObject({
      feature,
      why: expect.stringContaining('EPERM') as string,
      hint: expect.stringContaining('CAP_NET_ADMIN') as string,
    })
  }
})

test.skipIf(!onLinux)('with it all of them work, and the library is loaded once', () => {
  let loads = 0
  const abilities = new Abilities(() => {
    loads += 1
    return openNative(() => calls(0))
  })
  for (const feature of ['redirect', 'tproxy', 'preserve-source'] as const) {
    expect(abilities.missing(feature)).toBeUndefined()
    expect(abilities.native(feature)).toBeDefined()
  }
  expect(loads).toBe(1)
})
