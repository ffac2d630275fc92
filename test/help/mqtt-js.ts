// MQTT.js in the hands of a test: keeps every message as it came, so that two runs can be compared.

import { createHash } from 'node:crypto'
import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient, type Packet } from 'mqtt'
import type { Level } from './packets.ts'
import { eventually, soon } from './wait.ts'

/** A message as plain data. */
export interface Message {
  readonly topic: string
  /** As text; the SHA-256 of one that is long. */
  readonly payload: string
  readonly qos: number
  readonly retain: boolean
  readonly dup: boolean
  readonly properties: unknown
}

export class JsClient implements AsyncDisposable {
  readonly client: MqttClient
  /** Messages in the order in which they came. */
  readonly messages: Message[] = []
  #waiting: (() => void)[] = []

  constructor(port: number, level: Level, options: IClientOptions = {}) {
    this.client = mqtt.connect({
      host: '127.0.0.1',
      port,
      protocolVersion: level,
      protocolId: level === 3 ? 'MQIsdp' : 'MQTT',
      reconnectPeriod: 0,
      ...options,
    })
    // Whoever waits for what did not come because of it says so.
    this.client.on('error', () => {})
    this.client.on('message', (topic, _payload, packet) => {
      this.messages.push(messageOf(topic, packet))
      for (const look of this.#waiting) look()
    })
  }

  /** Waits for the CONNACK that accepts it. */
  static async join(port: number, level: Level, options: IClientOptions = {}): Promise<JsClient> {
    const one = new JsClient(port, level, options)
    await one.connected()
    return one
  }

  async connected(): Promise<void> {
    const { client } = this
    await eventually('CONNACK', () => client.connected)
  }

  /** Waits until so many messages have come in all, and returns them. */
  async received(count: number): Promise<readonly Message[]> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = (): void => void (this.messages.length >= count && resolve())
    this.#waiting.push(look)
    look()
    await soon(() => `${count} messages, only ${this.messages.length}`, promise)
    this.#waiting = this.#waiting.filter((one) => one !== look)
    return this.messages
  }

  /** Waits for PINGRESP: whatever the broker sent this client before has arrived, too. */
  async flushed(): Promise<void> {
    const { client } = this
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = ({ cmd }: Packet): void => void (cmd === 'pingresp' && resolve())
    client.on('packetreceive', look)
    client.sendPing()
    await soon('PINGRESP', promise)
    client.off('packetreceive', look)
  }

  /** Cuts the connection without a word. */
  cut(): void {
    this.client.stream.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.endAsync(true)
  }
}

/** Messages by topic, each topic's in their order: what MQTT promises of order (4.6). */
export function byTopic(messages: readonly Message[]): Record<string, Message[]> {
  const topics: Record<string, Message[]> = {}
  for (const message of messages) (topics[message.topic] ??= []).push(message)
  return topics
}

/** `topic`: that of the packet, or the one its alias stands for. */
function messageOf(topic: string, packet: IPublishPacket): Message {
  const { payload, qos, retain, dup, properties } = packet
  const bytes = Buffer.from(payload)
  return {
    topic,
    payload: bytes.length > 256 ? createHash('sha256').update(bytes).digest('hex') : bytes.toString('latin1'),
    qos,
    retain,
    dup,
    properties: properties === undefined ? {} : settled(properties),
  }
}

/** The expiry interval counts down while a message waits, so that two runs may differ by a second. */
function settled(properties: NonNullable<IPublishPacket['properties']>): unknown {
  const { messageExpiryInterval: expiry, ...rest } = properties
  return expiry === undefined ? rest : { ...rest, messageExpiryInterval: Math.ceil(expiry / 60) * 60 }
}
