// The sequences of clients, from a raw device through Pulseward to a real mosquitto, and straight to it.

import { connect } from 'node:net'
import { PacketType } from '../../src/mqtt/packet.ts'
import type { Visit } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import type { Mosquitto } from '../help/mosquitto.ts'
import { packet, pingreqPacket, publishPacket, uint16 } from '../help/packets.ts'
import type { CoreOutcome, Verdict } from './core.ts'
import type { Lane } from './lanes.ts'
import { answerTime, closeTime, hear, hearsEnd, packetTypes, patience } from './listen.ts'
import type { LiveOutcome } from './live.ts'
import { openingConnect } from './opening.ts'
import type { Message, Sequence } from './sequences.ts'

const { connack, pingresp, disconnect } = PacketType

/** A lane, and the mosquitto behind its recorder. */
export interface BrokerLane {
  readonly lane: Lane
  readonly mosquitto: Mosquitto
}

export async function throughToBroker(
  { lane, mosquitto }: BrokerLane,
  { sequence, verdict: expected, passed }: CoreOutcome,
): Promise<LiveOutcome> {
  const recorder = new Recorder(mosquitto.plainPort)
  lane.serve = (visit) => recorder.carry(visit)
  let closed: boolean
  let heard: Buffer
  {
    await using device = await Device.connect(lane.port)
    await play(device, sequence, mosquitto.plainPort)
    closed = await isClosed(device, sequence.mustDisconnect ? closeTime : 0)
    heard = device.received
  }
  const refused = await lane.settle()
  const { received, brokerEnded } = recorder
  const verdict = (): Verdict => {
    if (refused !== undefined && !refused.startsWith('broker-')) return 'rule'
    if (!closed) return 'passed'
    if (packetTypes(received).at(-1) === disconnect) return 'last word'
    return brokerEnded || brokerRefused(heard) ? 'broker' : 'rule'
  }
  return {
    sequence,
    verdict: verdict(),
    by: verdict() === 'rule' ? (refused ?? 'no reason told') : undefined,
    leaked: expected === 'rule' && !passed.subarray(0, received.length).equals(received),
    brokerAlone: await straightToBroker(mosquitto, sequence),
  }
}

/** Whether this mosquitto hangs up when nobody stands in front of it. */
async function straightToBroker(mosquitto: Mosquitto, sequence: Sequence): Promise<boolean> {
  await using device = await Device.connect(mosquitto.plainPort)
  await play(device, sequence, mosquitto.plainPort)
  return await isClosed(device, 0)
}

/** Stands in for the TLS of a broker, and writes down what it is sent before it hands it on. */
class Recorder {
  brokerEnded = false
  readonly #port: number
  #visit: Visit | undefined

  constructor(port: number) {
    this.#port = port
  }

  get received(): Buffer {
    return this.#visit?.received ?? Buffer.alloc(0)
  }

  /** Both halves of either connection end with those of the other. */
  carry(visit: Visit): void {
    this.#visit = visit
    const link = connect({ host: '127.0.0.1', port: this.#port, allowHalfOpen: true })
    link.write(visit.received)
    visit.socket.on('data', (chunk) => link.write(chunk))
    link.on('data', (chunk: Buffer) => visit.socket.write(chunk))
    visit.socket.on('end', () => link.end())
    link.on('error', () => {})
    // A broker that hangs up may do so with a reset.
    const over = (): void => {
      if (!visit.ended) this.brokerEnded = true
      visit.socket.end()
    }
    link.on('end', over).on('close', over)
    visit.socket.on('close', () => link.destroy())
  }
}

async function play(device: Device, sequence: Sequence, plainPort: number): Promise<void> {
  let answers = 0
  const answered = async (count: number): Promise<void> => {
    answers += count
    await hear(device, (received) => packetTypes(received).length >= answers, answerTime)
  }
  if (sequence.connect) {
    await device.send(openingConnect(sequence.version))
    await answered(1)
  }
  for (const message of sequence.messages) {
    if (device.ended) return
    if (message.kind === 'send') await device.send(message.bytes)
    else if (message.kind === 'recv') await answered(packetTypes(message.bytes).length)
    else if (message.kind === 'external') await publishAside(plainPort, message)
  }
}

/** Another client of the broker publishes. */
async function publishAside(plainPort: number, { topic, qos, bytes }: Message): Promise<void> {
  await using helper = await Device.join(plainPort, { clientId: 'helper' })
  const acknowledged = async (count: number): Promise<void> => {
    await helper.until(`${count} packets`, (received) => packetTypes(received).length >= count)
  }
  await helper.send(publishPacket({ version: 4, topic, qos, payload: bytes }))
  if (qos > 0) await acknowledged(2)
  if (qos === 2) {
    await helper.send(packet(0x62, uint16(1)))
    await acknowledged(3)
  }
}

/** Whether the last a device heard is CONNACK with a refusal, or DISCONNECT. */
function brokerRefused(heard: Buffer): boolean {
  const types = packetTypes(heard)
  return types.at(-1) === disconnect || (types.length === 1 && types[0] === connack && heard[3]! > 0)
}

/** Without a CONNACK there is nothing to be asked; who has one and stands answers PINGREQ. */
async function isClosed(device: Device, wait: number): Promise<boolean> {
  if (device.ended || (wait > 0 && (await hearsEnd(device, wait)))) return true
  const types = packetTypes(device.received)
  if (!types.includes(connack)) return await hearsEnd(device, patience)
  const pongs = types.filter((type) => type === pingresp).length
  await device.send(pingreqPacket)
  const answered = (received: Buffer): boolean =>
    packetTypes(received).filter((type) => type === pingresp).length > pongs
  return (await hear(device, answered, patience)) === 'ended'
}
