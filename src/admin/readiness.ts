// What /readyz says: whether devices are welcome, and how far each broker is trusted; plain data.

/** How one address that the name of a server stands for is seen by the canary. */
export interface AddressReadiness {
  readonly address: string
  /** As of the server. */
  readonly verdict: string
  readonly reasons: readonly string[]
  readonly lastCheck: string | null
}

/** How one server of an upstream stands. */
export interface ServerReadiness {
  /** `host:port` as in proxy.yaml. */
  readonly server: string
  /** The trust verdict of the last handshake, or a code such as `unchecked`, `mixed` or `refused`. */
  readonly verdict: string
  /** One sentence each. */
  readonly reasons: readonly string[]
  /** When it was last checked, ISO 8601; null before the first time. */
  readonly lastCheck: string | null
  readonly addresses: readonly AddressReadiness[]
}

export interface UpstreamReadiness {
  /** Whether a device's session could be forwarded: at least one server is trusted. */
  readonly trusted: boolean
  readonly servers: readonly ServerReadiness[]
  /** What of its trust stands on first use alone, one sentence each. */
  readonly firstUse: readonly string[]
}

export interface Readiness {
  readonly ready: boolean
  /** Whether Pulseward is shutting down: no new sessions, the old ones end. */
  readonly draining: boolean
  /** Whether a server has not been looked at yet since the start. */
  readonly starting: boolean
  readonly upstreams: Readonly<Record<string, UpstreamReadiness>>
}

/** Ready is who has looked at every server once, is not draining and trusts a broker: with several upstreams, one that works is worth the traffic. */
export function judgeReadiness(facts: Omit<Readiness, 'ready'>): Readiness {
  const trusting = Object.values(facts.upstreams).some(({ trusted }) => trusted)
  return { ready: trusting && !facts.draining && !facts.starting, ...facts }
}
