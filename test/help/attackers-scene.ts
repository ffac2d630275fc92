// Proxy and mosquitto with a wire between them that attackers take over, while a device publishes and tries again.

import { X509Certificate } from 'node:crypto'
import { expect } from 'vitest'
import { evidence } from '../../src/cli/evidence.ts'
import { pinOf } from '../../src/tls/pins.ts'
import { attackers, type Attacker, type AttackerName } from './attackers.ts'
import { Device } from './device.ts'
import { Mosquitto } from './mosquitto.ts'
import { deadPort } from './mute.ts'
import { connectPacket, subscribePacket } from './packets.ts'
import { makePki, type Pki } from './pki.ts'
import { Proxy, ward, type Line } from './proxy.ts'
import { StubbornDevice } from './stubborn.ts'
import { eventually } from './wait.ts'
import { Wire } from './wire.ts'

export type Identity = Awaited<ReturnType<Pki['issue']>>

/** An attacker who is there and listens. */
export interface Threat {
  readonly port: number
  /** How often proxy or canary came so far that there was something to learn: a handshake, or a connection. */
  readonly met: () => number
  /** Application bytes that could be read, once all it met is over. */
  readonly bytes: () => number | Promise<number>
  /** PEM of the certificate it shows, where it gets as far as that. */
  readonly shows?: string
}

export interface SceneOptions {
  /** The broker's certificate and key. */
  readonly genuine?: Identity
  /** Instead of the PEM of the broker's CA alone. */
  readonly ca?: string
  /** Beside or instead of `ca` and the pin of the broker's key. */
  readonly tls?: Readonly<Record<string, unknown>>
  /** What stands before the broker and speaks TLS in its place; given the broker's plaintext port, it says its own. */
  readonly front?: (plainPort: number) => Promise<AsyncDisposable & { readonly port: number }>
  /** The upstream has a second server. */
  readonly spare?: boolean
}

type Parts = Pick<Scene, 'pki' | 'genuine' | 'mosquitto' | 'home' | 'wire' | 'spare' | 'proxy' | 'publisher'>

/** One for all scenes of a file: its RSA key takes longer to find than all else. */
let authority: Promise<Pki> | undefined

/** The PKI behind the genuine broker. */
export async function hospitalPki(): Promise<Pki> {
  return await (authority ??= makePki('Hospital CA'))
}

const topic = 'ward/7/pulse'
const refusal = { 3: '20020003', 4: '20020003', 5: '2003008800' } as const
const failures = {
  untrusted: 'pulseward_upstream_verify_failures_total',
  unreached: 'pulseward_upstream_dial_failures_total',
}

export class Scene implements AsyncDisposable {
  readonly pki: Pki
  readonly genuine: Identity
  readonly mosquitto: Mosquitto
  /** Where the genuine broker speaks TLS. */
  readonly home: number
  readonly wire: Wire
  /** To a second server of the upstream, which is the same broker by another way. */
  readonly spare: Wire | undefined
  readonly proxy: Proxy
  readonly publisher: StubbornDevice
  readonly #reader: Device
  readonly #stack: AsyncDisposableStack

  private constructor(parts: Parts, reader: Device, stack: AsyncDisposableStack) {
    this.pki = parts.pki
    this.genuine = parts.genuine
    this.mosquitto = parts.mosquitto
    this.home = parts.home
    this.wire = parts.wire
    this.spare = parts.spare
    this.proxy = parts.proxy
    this.publisher = parts.publisher
    this.#reader = reader
    this.#stack = stack
  }

  /** Everything in place, and messages on their way. */
  static async set(options: SceneOptions = {}): Promise<Scene> {
    const pki = await hospitalPki()
    const {
      genuine = await pki.issue(),
      ca = pki.ca.cert,
      tls = {},
      front,
      spare: hasSpare = false,
    } = options
    await using stack = new AsyncDisposableStack()
    const mosquitto = stack.use(await Mosquitto.start({ pki, identity: genuine }))
    const home = front === undefined ? mosquitto.port : stack.use(await front(mosquitto.plainPort)).port
    const wire = stack.use(await Wire.lay({ to: home }))
    const spare = hasSpare ? stack.use(await Wire.lay({ to: home })) : undefined
    const pins = [pinOf(new X509Certificate(genuine.cert))]
    const config = ward({
      brokers: [wire, spare].flatMap((one) => one?.port ?? []),
      tls: { pins, ...tls },
      // Not left alone at all, so that every device brings the attacker another chance.
      timeouts: { distrust: '0s' },
    })
    const proxy = stack.use(await Proxy.start({ config, files: { 'ca.pem': ca } }))
    await proxy.waitForReady(200)
    const reader = stack.use(await Device.join(mosquitto.plainPort, { clientId: 'reader' }))
    await reader.send(subscribePacket(4, 1, [[topic, 0]]))
    await reader.bytes(4 + 5)
    const publisher = stack.use(new StubbornDevice(proxy.port, topic))
    await publisher.progress()
    const parts = { pki, genuine, mosquitto, home, wire, spare, proxy, publisher }
    return new Scene(parts, reader, stack.move())
  }

  /** The attacker takes the wire, learns nothing, is told of in every way there is, and loses the wire again. */
  async endures(name: AttackerName, threat: Threat): Promise<void> {
    const attacker: Attacker = attackers[name]
    const from = this.proxy.log.length
    const before = await this.#counts()
    const { refusals } = this.publisher
    const met = threat.met()
    // Where there is a spare one, that is what the attacker has, and the other is cut.
    this.spare?.lead(threat.port)
    this.wire.lead(this.spare === undefined ? threat.port : await deadPort())
    this.wire.reset()
    try {
      await this.#devicesAreTold()
      await eventually('the device that publishes refused', () => this.publisher.refusals > refusals)
      await this.#isCounted(attacker, before)
      await this.#isLogged(attacker, from)
      if (attacker.verdict !== 'unreachable') await this.#isEvidence(attacker, from, threat)
      else expect(this.#since(from, 'evidence recorded')).toEqual([])
    } finally {
      for (const wire of [this.wire, this.spare]) wire?.lead(this.home)
    }
    await this.publisher.progress()
    expect(threat.met()).toBeGreaterThan(met)
    expect(await threat.bytes()).toBe(0)
    await this.isWell()
  }

  /** No attacker, or none any more: every device is welcome, and whatever was acknowledged has arrived. */
  async isWell(): Promise<void> {
    for (const version of [3, 4, 5] as const) {
      await using device = await Device.join(this.proxy.port, { version, clientId: `well-${version}` })
      expect(device.ended).toBe(false)
    }
    await this.proxy.waitForReady(200)
    expect(await this.proxy.metric('pulseward_upstream_trusted', { upstream: 'hospital' })).toBeGreaterThan(0)
    const { acknowledged } = this.publisher
    const wanted = Array.from({ length: acknowledged }, (_, index) => index + 1)
    await eventually('everything acknowledged', () => {
      const arrived = new Set(this.#reader.received.toString('latin1').match(/(?<=#)\d+(?=;)/g))
      return wanted.every((number) => arrived.has(String(number)))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }

  async #devicesAreTold(): Promise<void> {
    for (const version of [3, 4, 5] as const) {
      await using device = await Device.connect(this.proxy.port)
      await device.send(connectPacket({ version, clientId: `told-${version}` }))
      expect((await device.everything()).toString('hex')).toBe(refusal[version])
    }
  }

  /** In the metrics, under this verdict and worst cause, and under no other. */
  async #isCounted({ verdict, causes, also = [] }: Attacker, before: Map<string, number>): Promise<void> {
    const reached = verdict !== 'unreachable'
    const [cause = ''] = causes
    const after = await this.#counts()
    // That the server which was cut is not reached says nothing of the attacker, who has the other one.
    const isHis = (key: string): boolean => this.spare === undefined || !key.startsWith(failures.unreached)
    const grown = [...after]
      .filter(([key, value]) => value > (before.get(key) ?? 0) && isHis(key))
      .map(([key]) => key)
    const reason = `upstream-${reached ? 'untrusted' : 'unreachable'}`
    const upstream = 'hospital'
    expect(grown.filter((key) => !also.some((one) => key.includes(`,${one}"`))).toSorted()).toEqual(
      [
        keyOf('pulseward_rejections_total', { listener: 'ward', reason }),
        reached
          ? keyOf(failures.untrusted, { upstream, verdict, cause })
          : keyOf(failures.unreached, { upstream, reason: cause }),
      ].toSorted(),
    )
  }

  /** A line of an attacker before this one may still be on its way, so it is the one that says what this one does. */
  async #isLogged({ verdict, causes, says }: Attacker, from: number): Promise<void> {
    const reached = verdict !== 'unreachable'
    const message = `broker not ${reached ? 'trusted' : 'reached'}; nothing was sent to it`
    const isIt = ({ causes: seen, reasons, reason, hint }: Line): boolean =>
      String(seen ?? reason) === causes.join() && says.test(String(reached ? reasons : hint))
    const line = await eventually(
      () => `"${message}" that says ${String(says)}: ${JSON.stringify(this.#since(from, message))}`,
      () => this.#since(from, message).find(isIt),
    )
    expect(line).toMatchObject({ upstream: 'hospital', hint: expect.stringMatching(/\w/) })
    if (reached) expect(line).toMatchObject({ level: 'error', verdict })
  }

  /** As an incident of its own that says so, in a chain that holds. */
  async #isEvidence(
    { verdict, causes, says, unseen }: Attacker,
    from: number,
    { shows }: Threat,
  ): Promise<void> {
    const { id } = await eventually('evidence', async () => {
      const recorded = new Set(this.#since(from, 'evidence recorded').map(({ incident }) => incident))
      const { incidents } = JSON.parse(await this.#evidence('list', '--json')) as { incidents: Listed[] }
      return incidents.find((one) => recorded.has(one.id) && one.causes.join() === causes.join())
    })
    const account = { verdict, causes, applicationBytesSent: 0 }
    const shown = JSON.parse(await this.#evidence('show', id, '--json')) as { incident: object }
    const reasons = expect.arrayContaining([expect.stringMatching(says)]) as unknown
    const leafSha256 =
      shows === undefined ? {} : { served: { leafSha256: new X509Certificate(shows).fingerprint256 } }
    expect(shown).toMatchObject(account)
    expect(shown.incident).toMatchObject({ ...account, reasons, ...leafSha256 })
    expect(Reflect.get(shown.incident, 'handshake') === null).toBe(unseen === true)
    await this.#evidence('verify')
  }

  /** What `pulseward evidence` prints; here rather than in a process of its own, which would take longer than the attack. */
  async #evidence(...args: string[]): Promise<string> {
    let [out, complaint] = ['', '']
    const io = {
      stdout: (text: string) => void (out += text),
      stderr: (text: string) => void (complaint += text),
      env: {},
      cwd: this.proxy.folder.path,
    }
    expect(await evidence(args, io), complaint + out).toBe(0)
    return out
  }

  async #counts(): Promise<Map<string, number>> {
    const metrics = await this.proxy.metrics()
    const names = ['pulseward_rejections_total', failures.untrusted, failures.unreached]
    return new Map(
      names.flatMap((name) => metrics.series(name).map(({ labels, value }) => [keyOf(name, labels), value])),
    )
  }

  #since(from: number, message: string): readonly Line[] {
    return this.proxy.log.slice(from).filter(({ msg }) => msg === message)
  }
}

/** What `pulseward evidence list --json` says of an incident, in part. */
interface Listed {
  readonly id: string
  readonly causes: readonly string[]
}

function keyOf(name: string, labels: Readonly<Record<string, string>>): string {
  return `${name} ${JSON.stringify(Object.entries(labels).map(String).toSorted())}`
}
