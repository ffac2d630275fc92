// A device that publishes at QoS 1, one message after the other, and tries each again until it is acknowledged.

import { setTimeout } from 'node:timers/promises'
import { Device } from './device.ts'
import { connectPacket, publishPacket } from './packets.ts'
import { eventually } from './wait.ts'

const accepted = '20020000'
/** Milliseconds until a device that was refused, or lost its connection, comes again; and from message to message. */
const pause = 50
const pace = 5

export class StubbornDevice implements AsyncDisposable {
  /** Messages acknowledged: 1 up to this number, in order. */
  acknowledged = 0
  /** CONNACKs with anything but 0, and connections closed without one. */
  refusals = 0
  readonly #port: number
  readonly #topic: string
  readonly #done: Promise<void>
  #stopping = false

  constructor(port: number, topic: string) {
    this.#port = port
    this.#topic = topic
    this.#done = this.#run()
    this.#done.catch(() => {})
  }

  /** Waits until so many more messages are acknowledged. */
  async progress(count = 5): Promise<void> {
    const wanted = this.acknowledged + count
    await eventually(
      () => `${wanted} acknowledgements instead of ${this.acknowledged}`,
      () => this.acknowledged >= wanted,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true
    await this.#done
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      await using device = await Device.connect(this.#port)
      await device.send(connectPacket({ version: 4, clientId: 'stubborn' }))
      const answer = await device.until('CONNACK', (bytes) => bytes.length >= 4).catch(() => undefined)
      if (answer?.toString('hex') === accepted) await this.#publish(device).catch(() => {})
      else this.refusals += 1
      await setTimeout(pause)
    }
  }

  /** Until it is told to stop; rejects when the connection is lost. */
  async #publish(device: Device): Promise<void> {
    for (let length = 8; !this.#stopping; length += 4) {
      const number = this.acknowledged + 1
      const id = ((number - 1) % 0xffff) + 1
      await device.send(publishPacket({ version: 4, topic: this.#topic, qos: 1, id, payload: `#${number};` }))
      await device.bytes(length)
      this.acknowledged = number
      await setTimeout(pace)
    }
  }
}
