import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readTcpInfo, tcpInfoSize } from '../../src/net/tcp-info.ts'

function info(rtt: number, minRtt: number): Uint8Array {
  const bytes = new Uint8Array(tcpInfoSize)
  const view = new DataView(bytes.buffer)
  view.setUint32(68, rtt, true)
  view.setUint32(148, minRtt, true)
  return bytes
}

test('both round trips are read', () => {
  expect(readTcpInfo(info(1500, 900), tcpInfoSize)).toEqual({ rtt: 1500, minRtt: 900 })
})

test('what was not measured is undefined', () => {
  expect(readTcpInfo(info(0, 0xffff_ffff), tcpInfoSize)).toEqual({ rtt: undefined, minRtt: undefined })
})

test('an older kernel, which returns less, has no least round trip', () => {
  expect(readTcpInfo(info(1500, 900), 104)).toEqual({ rtt: 1500, minRtt: undefined })
})

test('nothing beyond the length the kernel returned is read, nor beyond the bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 256 }), fc.nat(400), (bytes, length) => {
      const { rtt, minRtt } = readTcpInfo(bytes, length)
      const end = Math.min(length, bytes.length)
      if (end < 72) expect(rtt).toBeUndefined()
      if (end < 152) expect(minRtt).toBeUndefined()
    }),
  )
})
