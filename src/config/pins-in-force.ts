// Which pins of an upstream count: those of proxy.yaml with those accepted, or those of what its servers showed first.

import { hostPort } from '../net/address.ts'
import type { AcceptedPin } from '../tls/accepted.ts'
import type { Known } from '../tls/known.ts'
import { samePin } from '../tls/pins.ts'
import type { Pin } from '../tls/pinset.ts'
import type { UpstreamConfig } from './schema.ts'

interface InForce {
  readonly pins: readonly Pin[]
  /** Servers, `host:port`, whose first key is still to be seen, and is then to be trusted. */
  readonly strangers: ReadonlySet<string>
}

export function pinsInForce(
  name: string,
  { servers, tls }: Pick<UpstreamConfig, 'servers' | 'tls'>,
  { accepted, firstUses }: Known,
): InForce {
  const ofThis = accepted.filter(({ upstream }) => upstream === name)
  if (tls.firstUse !== 'accept') return { pins: withAccepted(tls.pins, ofThis), strangers: new Set() }
  const names = servers.map(({ host, port }) => hostPort(host, port))
  const met = firstUses.pins.filter(({ upstream, server }) => upstream === name && names.includes(server))
  const isReplaced = (server: string): boolean =>
    ofThis.some((one) => one.server === undefined || one.server === server)
  const strangers = names.filter(
    (server) => !firstUses.isDamaged && !isReplaced(server) && !met.some((one) => one.server === server),
  )
  const first = met
    .filter(({ server }) => !isReplaced(server))
    .map(({ pin, server, at }): Pin => {
      return { pin, comment: `on first use of ${server} at ${at}`, firstUse: server }
    })
  return { pins: [...ofThis.map(asPin), ...first], strangers: new Set(strangers) }
}

/** What was accepted adds to the pins of proxy.yaml: it neither begins pinning nor overrules the dates given there. */
function withAccepted(pins: readonly Pin[], accepted: readonly AcceptedPin[]): readonly Pin[] {
  if (pins.length === 0) return pins
  const added = accepted.filter(({ pin }) => !pins.some((known) => samePin(known.pin, pin)))
  return [...pins, ...added.map(asPin)]
}

function asPin({ pin, at, by }: AcceptedPin): Pin {
  return { pin, comment: `accepted ${at} by ${by}`, accepted: true }
}
