// Reads what TCP_INFO of Linux says of a connection, as far as the kernel's version of it goes.

/** Bytes of `struct tcp_info` (linux/tcp.h) up to and with `tcpi_min_rtt`, which Linux has had since 4.6. */
export const tcpInfoSize = 152

const rttAt = 68
const minRttAt = 148
/** What the kernel says while it has measured nothing. */
const unmeasured = 0xffff_ffff

export interface TcpInfo {
  /** The smoothed round trip, in microseconds; undefined where there is none yet. */
  readonly rtt: number | undefined
  /** The least round trip of the last minutes (sysctl tcp_min_rtt_wlen), in microseconds. */
  readonly minRtt: number | undefined
}

/** `length`: as many bytes as the kernel returned; what lies beyond is not read. */
export function readTcpInfo(bytes: Uint8Array, length: number): TcpInfo {
  const view = new DataView(bytes.buffer, bytes.byteOffset, Math.min(length, bytes.length))
  return { rtt: microseconds(view, rttAt), minRtt: microseconds(view, minRttAt) }
}

function microseconds(view: DataView, at: number): number | undefined {
  if (view.byteLength < at + 4) return undefined
  const value = view.getUint32(at, true)
  return value === 0 || value === unmeasured ? undefined : value
}
