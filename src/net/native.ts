// The one door to the system calls Node does not offer: options of sockets by number, and sockets made by hand. Linux only.

import { createRequire } from 'node:module'
import { Socket, type Server } from 'node:net'
import { endianness, platform } from 'node:os'
import type Koffi from 'koffi'
import type { Endpoint } from './address.ts'
import { AF_INET, AF_INET6, readSockaddr, sockaddrSize, writeSockaddr } from './sockaddr.ts'
import { readTcpInfo, tcpInfoSize } from './tcp-info.ts'

/** What of it Pulseward calls; errors come back as -1, and `errno` says which. */
export interface SystemCalls {
  readonly getsockopt: (
    fd: number,
    level: number,
    name: number,
    value: Uint8Array,
    size: Uint8Array,
  ) => number
  readonly setsockopt: (fd: number, level: number, name: number, value: Uint8Array, size: number) => number
  readonly socket: (domain: number, type: number, protocol: number) => number
  readonly bind: (fd: number, address: Uint8Array, size: number) => number
  readonly close: (fd: number) => number
  readonly errno: () => number
}

/** SO_MARK of what leaves for brokers with the address of a device: rules of others can let it alone by it. */
export const ownMark = 0x5057

/** A system call refused; `code` as Node spells it. */
export class NativeError extends Error {
  readonly code: string
  constructor(call: string, errno: number) {
    const code = codes[errno] ?? `errno ${errno}`
    super(`${call}: ${code}`)
    this.name = 'NativeError'
    this.code = code
  }
}

interface OutgoingSocket {
  /** The other end's family decides about the socket's. */
  readonly to: 4 | 6
  /** SO_MARK, for rules that have to know our own packets. */
  readonly mark: number
  /** The address to come from, whosever it is; its port is taken from the kernel. */
  readonly from?: string
}

// bits/socket.h, linux/in.h, linux/in6.h, linux/tcp.h, linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const SO_MARK = 36
const SOL_IP = 0
const IP_TRANSPARENT = 19
const IP_BIND_ADDRESS_NO_PORT = 24
const SO_ORIGINAL_DST = 80
const SOL_IPV6 = 41
const IPV6_TRANSPARENT = 75
const IP6T_SO_ORIGINAL_DST = 80
const IPPROTO_TCP = 6
const TCP_INFO = 11
const TCP_SAVE_SYN = 27
const TCP_SAVED_SYN = 28
/** SOCK_STREAM, SOCK_CLOEXEC, SOCK_NONBLOCK (x86, arm, riscv). */
const STREAM = 1 | 0o2000000 | 0o4000
const codes: Readonly<Record<number, string>> = {
  1: 'EPERM',
  2: 'ENOENT',
  13: 'EACCES',
  22: 'EINVAL',
  24: 'EMFILE',
  92: 'ENOPROTOOPT',
  98: 'EADDRINUSE',
  99: 'EADDRNOTAVAIL',
}

/** Two IP headers of the longest kind, Ethernet's and TCP's: more than any SYN has. */
const savedSynSize = 512

export class Native {
  readonly #calls: SystemCalls
  // One set for all calls: each is over, and read, before the next begins.
  readonly #size = new Uint8Array(4)
  readonly #value = new Uint8Array(savedSynSize)

  constructor(calls: SystemCalls) {
    this.#calls = calls
  }

  /** Where a redirected connection was going, by the kernel's connection tracking; undefined where it knows of none. */
  originalDestination(fd: number, family: 4 | 6): Endpoint | undefined {
    const [level, name] = family === 4 ? [SOL_IP, SO_ORIGINAL_DST] : [SOL_IPV6, IP6T_SO_ORIGINAL_DST]
    const found = this.#read(fd, level, name, family === 4 ? 16 : sockaddrSize)
    return found && readSockaddr(found)
  }

  /** Makes a listening socket keep the SYN of every connection, with the Ethernet header before it. */
  saveSyn(fd: number): void {
    this.#set(fd, IPPROTO_TCP, TCP_SAVE_SYN, 2)
  }

  /** The SYN an accepted connection began with, for `parseSyn`; the kernel hands it out once. */
  readSyn(fd: number): Uint8Array | undefined {
    return this.#read(fd, IPPROTO_TCP, TCP_SAVED_SYN, savedSynSize)?.slice()
  }

  /** The least round trip to the other end, in microseconds; undefined where nothing was measured. */
  readMinRtt(fd: number): number | undefined {
    const found = this.#read(fd, IPPROTO_TCP, TCP_INFO, tcpInfoSize)
    return found && readTcpInfo(found, found.length).minRtt
  }

  #setTransparent(fd: number, family: 4 | 6): void {
    if (family === 4) this.#set(fd, SOL_IP, IP_TRANSPARENT, 1)
    else this.#set(fd, SOL_IPV6, IPV6_TRANSPARENT, 1)
  }

  /** What the system says against sockets that are marked and use addresses of others; undefined where it allows them. */
  refusal(): string | undefined {
    try {
      const fd = this.#socket(4, (made, family) => {
        this.#setTransparent(made, family)
        this.#set(made, SOL_SOCKET, SO_MARK, 0)
      })
      this.#calls.close(fd)
      return undefined
    } catch (error) {
      return error instanceof NativeError ? error.code : String(error)
    }
  }

  /**
   * A descriptor of a socket that is bound and does not listen yet: for `server.listen({ fd })`, which takes it over.
   *
   * @throws {NativeError}
   */
  transparentListener(endpoint: Endpoint): number {
    return this.#socket(endpoint.address.includes(':') ? 6 : 4, (fd, family) => {
      this.#set(fd, SOL_SOCKET, SO_REUSEADDR, 1)
      this.#setTransparent(fd, family)
      // A socket of `::` takes IPv4 too, and needs leave for both.
      if (family === 6) this.#set(fd, SOL_IP, IP_TRANSPARENT, 1)
      this.#bind(fd, endpoint)
    })
  }

  /** A socket to connect with, marked, and perhaps with an address of others. @throws {NativeError} */
  outgoing({ to, mark, from }: OutgoingSocket): Socket {
    const fd = this.#socket(to, (made, family) => {
      this.#set(made, SOL_SOCKET, SO_MARK, mark)
      if (from === undefined) return
      this.#setTransparent(made, family)
      // The port is chosen with the other end known, so that one address can have more connections than ports.
      this.#set(made, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
      this.#bind(made, { address: from, port: 0 })
    })
    // Without `manualStart` it would begin to read before it is connected.
    const options = { fd, manualStart: true, allowHalfOpen: true }
    return new Socket(options)
  }

  #socket(family: 4 | 6, prepare: (fd: number, family: 4 | 6) => void): number {
    const fd = this.#calls.socket(family === 4 ? AF_INET : AF_INET6, STREAM, IPPROTO_TCP)
    if (fd < 0) throw new NativeError('socket', this.#calls.errno())
    try {
      prepare(fd, family)
      return fd
    } catch (error) {
      this.#calls.close(fd)
      throw error
    }
  }

  #bind(fd: number, endpoint: Endpoint): void {
    const address = writeSockaddr(endpoint)
    if (address === undefined) throw new NativeError('bind', 22)
    if (this.#calls.bind(fd, address, address.length) < 0) throw new NativeError('bind', this.#calls.errno())
  }

  #set(fd: number, level: number, name: number, value: number): void {
    const size = this.#size
    new DataView(size.buffer).setUint32(0, value, true)
    if (this.#calls.setsockopt(fd, level, name, size, 4) < 0)
      throw new NativeError('setsockopt', this.#calls.errno())
  }

  /** What the kernel wrote, good until the next call; undefined where it refused. */
  #read(fd: number, level: number, name: number, most: number): Uint8Array | undefined {
    const size = new DataView(this.#size.buffer)
    size.setUint32(0, most, true)
    if (this.#calls.getsockopt(fd, level, name, this.#value, this.#size) < 0) return undefined
    const length = size.getUint32(0, true)
    return length === 0 || length > most ? undefined : this.#value.subarray(0, length)
  }
}

/** The system calls, or in a few words why there are none here. */
export type NativeOrWhyNot = { readonly native: Native } | { readonly why: string }

/** Loads them anew at each call, some 25 ms: keep the result. `load` stands in for koffi. */
export function openNative(load: () => SystemCalls = loadKoffi): NativeOrWhyNot {
  if (platform() !== 'linux') return { why: `"${platform()}" is not Linux` }
  if (endianness() !== 'LE') return { why: 'a big-endian machine' }
  try {
    return { native: new Native(load()) }
  } catch (error) {
    const [line = ''] = String(error instanceof Error ? error.message : error).split('\n')
    return { why: `koffi cannot be loaded: ${line}` }
  }
}

/** The descriptor of a socket or server; undefined once it is closed, and where Node has none. */
export function descriptorOf(socket: Socket | Server): number | undefined {
  const fd = (socket as { _handle?: { fd?: number } | null })._handle?.fd
  return fd === undefined || fd < 0 ? undefined : fd
}

function loadKoffi(): SystemCalls {
  // Not an import: it is optional, and costs start and memory only where something needs it.
  const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi
  const libc = koffi.load(null)
  return {
    getsockopt: libc.func('int getsockopt(int, int, int, void *, void *)'),
    setsockopt: libc.func('int setsockopt(int, int, int, const void *, uint32_t)'),
    socket: libc.func('int socket(int, int, int)'),
    bind: libc.func('int bind(int, const void *, uint32_t)'),
    close: libc.func('int close(int)'),
    errno: () => koffi.errno(),
  }
}
