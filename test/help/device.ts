// A device in the hands of a test: a socket to a listener of Pulseward, plain or TLS, that sends what it is told to.

import { once } from 'node:events'
import { connect as connectPlain } from 'node:net'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { connectPacket, type ConnectShape } from './packets.ts'
import { Peer, type Bytes } from './peer.ts'
import { soon } from './wait.ts'

export class Device extends Peer {
  /** Connects in plaintext and without Nagle's algorithm, so that every `send` is a segment of its own. */
  static async connect(port: number, from: { readonly localAddress?: string } = {}): Promise<Device> {
    const socket = connectPlain({ host: '127.0.0.1', port, allowHalfOpen: true, ...from })
    socket.setNoDelay(true)
    await soon('a connection', once(socket, 'connect'))
    return new Device(socket)
  }

  /** Connects and shakes hands; rejects with node's error where there is no handshake. */
  static async connectTls(
    port: number,
    options: ConnectionOptions & { readonly localAddress?: string },
  ): Promise<Device & { socket: TLSSocket }> {
    const half = { allowHalfOpen: true, ...options }
    const socket = connectTls({ host: '127.0.0.1', port, ...half })
    socket.setNoDelay(true)
    await soon('a TLS handshake', once(socket, 'secureConnect'))
    return new Device(socket) as Device & { socket: TLSSocket }
  }

  /** Connects, sends CONNECT, and waits for a CONNACK that accepts. */
  static async join(port: number, shape: Partial<ConnectShape> = {}): Promise<Device> {
    const device = await Device.connect(port)
    await device.hello(shape)
    return device
  }

  /** CONNECT, and the wait for its acceptance. */
  async hello(
    { version = 4, ...shape }: Partial<ConnectShape> = {},
    ...more: readonly Bytes[]
  ): Promise<void> {
    await this.send(connectPacket({ version, ...shape }), ...more)
    const received = await this.bytes(4)
    if (received[0] !== 0x20 || received[3] !== 0) {
      throw new Error(`not accepted: "${received.toString('hex')}"`)
    }
  }
}
