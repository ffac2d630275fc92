// The signals: each way in which a device is not what it was, how much that weighs, and what it may mean.

interface SignalSpec {
  /** How much it says by itself, above 0 and below 1; those of one device add up as if they were independent. */
  readonly weight: number
  readonly explanation: string
}

const spec = (weight: number, explanation: string): SignalSpec => ({ weight, explanation })

/** What speaks for somebody between the device and the proxy, or in the place of the device. */
export const signals = {
  'mac-changed': spec(0.6, 'the address of the device belongs to another network card than before'),
  'frame-mac-differs': spec(
    0.6,
    'its frames come from another network card than the neighbour table has for it',
  ),
  'took-addresses': spec(0.35, 'the network card behind it took over addresses of other stations'),
  'address-contested': spec(0.5, 'two network cards take turns at claiming the address of the device'),
  'hop-added': spec(0.6, 'a device of this very link now has a router in between'),
  'hops-changed': spec(0.25, 'its packets pass more or fewer routers than before'),
  'syn-changed': spec(0.35, 'its connection was opened by another network stack'),
  'round-trip-shifted': spec(0.2, 'the way to it takes far longer than it ever did'),
  'ja4-changed': spec(0.35, 'its TLS library, or the settings of it, changed'),
  'profile-changed': spec(0.25, 'its CONNECT is made another way'),
  'login-changed': spec(0.35, 'it uses another user name or password'),
  'station-changed': spec(0.25, 'it came from a network card and an address it was never seen with'),
  'two-places': spec(0.4, 'its client identifier is in use at two places at once'),
  'takeover-ping-pong': spec(0.5, 'two places take its session from each other again and again'),
  'old-address-answers': spec(0.5, 'it came from elsewhere while the station it was before is still there'),
} as const satisfies Readonly<Record<string, SignalSpec>>

export type SignalName = keyof typeof signals

/** A signal that was seen, with what it rests on. */
export interface Signal {
  readonly name: SignalName
  readonly before: string
  readonly after: string
}

/** Changes that have an ordinary reason; they are told, and raise no suspicion. */
export const benignChanges = {
  'address-renewed': 'another address, the same network card',
  'address-changed': 'another address; network cards of devices beyond a router are not seen',
  roamed: 'a network card or address that it was seen with before',
  reconnected: 'it connected again from the same place before its last connection had ended',
  'firmware-updated': 'its network stack or TLS, and its CONNECT, changed together on the same network card',
} as const

export type BenignChange = keyof typeof benignChanges

export function isSignalName(name: string): name is SignalName {
  return Object.hasOwn(signals, name)
}
