// Everything Pulseward counts, as plain numbers the proxy bumps; turned into samples only when somebody scrapes.

import type { Direction } from '../mqtt/packet.ts'
import { allRules } from '../mqtt/rules.ts'
import { Histogram, LabelledCounter } from './counters.ts'
import type { Sample } from './counters.ts'
import { Gauges } from './inventory.ts'
import type { AddressGauge, ChainView, Inventory, Transport } from './inventory.ts'
import {
  byteSamples,
  connackSamples,
  durationSamples,
  overflowSamples,
  packetSamples,
  reportSamples,
  samplesOf,
  single,
} from './samples.ts'
import type { Leg } from './samples.ts'
import { acceptResults, handshakeBounds, metricTable } from './table.ts'
import type {
  evidenceFailures,
  handshakeResults,
  Label,
  LabelOf,
  MetricName,
  pairingResults,
} from './table.ts'

export type AcceptResult = (typeof acceptResults)[number]

/** The metrics fed by the proxy's own counts; the rest is read from the process. */
type ProxyMetric = Exclude<
  MetricName,
  'pulseward_build_info' | 'pulseward_event_loop_lag_seconds' | `process_${string}` | `nodejs_${string}`
>

/** One TLS handshake, as it ended. */
export interface Handshake {
  readonly leg: Leg
  /** As `getProtocol()` says it, `none` if it failed before. */
  readonly version: string
  /** As `getEphemeralKeyInfo()` says it: the name, or the type where there is no name, or `none`. */
  readonly group: string
  readonly result: (typeof handshakeResults)[number]
  /** From the first byte to the end; observed only when the handshake completed. */
  readonly seconds: number
}

/** A snapshot of proxy.yaml that came into force. */
export interface InForce extends Inventory {
  readonly sha256: string
  /** Which load since the start, from 1. */
  readonly version: number
  /** Milliseconds since 1970. */
  readonly at: number
}

export class Tally {
  /** Packets that passed, at `packetsOf[direction] + type` (samples.ts). Hot: bump it in place. */
  readonly packets = new Float64Array(32)
  /** Application bytes, at the positions of `ByteCount` in samples.ts. Hot: bump it in place. */
  readonly bytes = new Float64Array(4)
  /** CONNACK packets sent to devices, at their return or reason code. Hot: bump it in place. */
  readonly connacks = new Float64Array(256)
  /** Rules that were broken and only reported, at their index. Hot: bump it in place. */
  readonly reports: Readonly<Record<Direction, Float64Array>> = {
    up: new Float64Array(allRules.length + 1),
    down: new Float64Array(allRules.length + 1),
  }
  keepAliveExpired = 0
  logLinesSuppressed = 0
  logLinesDropped = 0

  readonly #gauges = new Gauges()
  readonly #durations = { device: new Histogram(handshakeBounds), broker: new Histogram(handshakeBounds) }
  readonly #counters = {
    pulseward_connections_total: counterOf('pulseward_connections_total'),
    pulseward_rejections_total: counterOf('pulseward_rejections_total'),
    pulseward_tls_handshakes_total: counterOf('pulseward_tls_handshakes_total'),
    pulseward_pairings_total: counterOf('pulseward_pairings_total'),
    pulseward_upstream_dial_failures_total: counterOf('pulseward_upstream_dial_failures_total'),
    pulseward_upstream_verify_failures_total: counterOf('pulseward_upstream_verify_failures_total'),
    pulseward_upstream_pin_mismatches_reported_total: counterOf(
      'pulseward_upstream_pin_mismatches_reported_total',
    ),
    pulseward_evidence_incidents_total: counterOf('pulseward_evidence_incidents_total'),
    pulseward_evidence_failures_total: counterOf('pulseward_evidence_failures_total'),
    pulseward_crl_fetches_total: counterOf('pulseward_crl_fetches_total'),
    pulseward_findings_total: counterOf('pulseward_findings_total'),
    pulseward_rule_hits_total: counterOf('pulseward_rule_hits_total'),
  }
  #inForce: InForce | undefined
  #lastReloadFailed = false
  #evidenceBytes = 0
  #reloads = { success: 0, failure: 0 }

  /** A snapshot came into force: gauges of names it lacks go, counters of names it brings begin at 0. */
  adopted(inForce: InForce): void {
    if (this.#inForce !== undefined) this.#reloads.success += 1
    this.#lastReloadFailed = false
    this.#inForce = inForce
    this.#gauges.adopt(inForce)
    for (const { name } of inForce.listeners) {
      for (const result of acceptResults)
        this.#counters.pulseward_connections_total.add({ listener: name, result }, 0)
    }
  }

  /** A reload failed; the snapshot before it stays in force. */
  reloadFailed(): void {
    this.#reloads.failure += 1
    this.#lastReloadFailed = true
  }

  /** A device's connection arrived at a listener, to be served or closed at once. */
  arrived(listener: string, result: AcceptResult): void {
    this.#counters.pulseward_connections_total.add({ listener, result })
  }

  /** An accepted connection; {@link connectionClosed} takes it off again. */
  connectionOpened(listener: string): void {
    this.#gauges.listener(listener).open += 1
  }

  connectionClosed(listener: string): void {
    this.#gauges.leave(listener, 'open')
  }

  /** A CONNECT passed every check; {@link sessionClosed} takes it off again. */
  sessionOpened(listener: string, transport: Transport): void {
    this.#gauges.listener(listener)[transport] += 1
  }

  sessionClosed(listener: string, transport: Transport): void {
    this.#gauges.leave(listener, transport)
  }

  /** Pulseward refused or closed a connection; `reason` is a rule's id or an error's code, never device text. */
  rejected(listener: string, reason: string): void {
    this.#counters.pulseward_rejections_total.add({ listener, reason })
  }

  handshaken({ leg, version, group, result, seconds }: Handshake): void {
    this.#counters.pulseward_tls_handshakes_total.add({ leg, version, group, result })
    if (result === 'full' || result === 'resumed') this.#durations[leg].observe(seconds)
  }

  /** The other end of a pair proved itself, or did not; `leg` is where it is. */
  paired(leg: Leg, result: (typeof pairingResults)[number]): void {
    this.#counters.pulseward_pairings_total.add({ leg, result })
  }

  /** A server could not be reached; `reason` is a code. */
  unreached(upstream: string, server: string, reason: string): void {
    this.#counters.pulseward_upstream_dial_failures_total.add({ upstream, reason })
    this.#gauges.trust(upstream, server, false)
  }

  /** A server was reached and not trusted; counts verdict and gravest cause, and marks the server. */
  distrusted(upstream: string, server: string, verdict: string, cause: string): void {
    this.#counters.pulseward_upstream_verify_failures_total.add({ upstream, verdict, cause })
    this.#gauges.trust(upstream, server, false)
  }

  /** A server was trusted; `notAfter` of its verified chain in milliseconds since 1970, the leaf first. */
  trusted(upstream: string, server: string, notAfter: readonly number[], view?: ChainView): void {
    this.#gauges.trust(upstream, server, true)
    this.#gauges.chain(upstream, notAfter, view)
  }

  /** A server was trusted only because a mismatch of pins is reported, not enforced. */
  pinMismatchReported(upstream: string, verdict: string): void {
    this.#counters.pulseward_upstream_pin_mismatches_reported_total.add({ upstream, verdict })
  }

  /** A revocation list was fetched from its URL, or could not be. */
  listFetched(succeeded: boolean): void {
    this.#counters.pulseward_crl_fetches_total.add({ result: succeeded ? 'success' : 'failure' })
  }

  /** A server has an address that is trusted, whatever its other addresses are. */
  usable(upstream: string, server: string): void {
    this.#gauges.trust(upstream, server, true)
  }

  /** The addresses that the name of a server stands for, all of them, as they stand now. */
  addresses(upstream: string, server: string, states: readonly AddressGauge[]): void {
    this.#gauges.addresses(upstream, server, states)
  }

  /** A broker that was not trusted is on record. */
  evidenceRecorded(verdict: string): void {
    this.#counters.pulseward_evidence_incidents_total.add({ verdict })
  }

  evidenceFailed(reason: (typeof evidenceFailures)[number]): void {
    this.#counters.pulseward_evidence_failures_total.add({ reason })
  }

  /** The evidence on disk has this size now. */
  evidenceHeld(bytes: number): void {
    this.#evidenceBytes = bytes
  }

  /** A detector found something and policy decided. */
  found(detector: string, severity: string, action: string): void {
    this.#counters.pulseward_findings_total.add({ detector, severity, action })
  }

  /** A frame broke a rule and policy decided. */
  ruleHit(rule: string, direction: Direction, action: string): void {
    this.#counters.pulseward_rule_hits_total.add({ rule, direction, action })
  }

  /** The samples of every metric the proxy feeds, by name. */
  samples(): { readonly [Name in ProxyMetric]: Iterable<Sample> } {
    const gauges = this.#gauges
    return {
      ...this.#configSamples(),
      ...samplesOf(this.#counters),
      pulseward_rule_hits_total: [
        ...this.#counters.pulseward_rule_hits_total.samples(),
        ...reportSamples(this.reports),
      ],
      pulseward_connections: gauges.connections(),
      pulseward_connections_limit: gauges.limits(),
      pulseward_device_sessions: gauges.sessions(),
      pulseward_bytes_total: byteSamples(this.bytes),
      pulseward_mqtt_packets_total: packetSamples(this.packets),
      pulseward_mqtt_connack_total: connackSamples(this.connacks),
      pulseward_keepalive_expired_total: single(this.keepAliveExpired),
      pulseward_tls_handshake_seconds: durationSamples(this.#durations),
      pulseward_upstream_trusted: gauges.trusted(),
      pulseward_upstream_address_trusted: gauges.addressTrust(),
      pulseward_upstream_address_last_check_timestamp_seconds: gauges.addressChecks(),
      pulseward_upstream_cert_not_after_timestamp_seconds: gauges.notAfter(),
      pulseward_upstream_pins: gauges.pins(),
      pulseward_upstream_crl_next_update_timestamp_seconds: gauges.listEnds(),
      pulseward_upstream_first_use_pins: gauges.firstUsePins(),
      pulseward_evidence_bytes: single(this.#evidenceBytes),
      pulseward_upstream_pin_not_after_timestamp_seconds: gauges.pinEnds(),
      pulseward_log_lines_suppressed_total: single(this.logLinesSuppressed),
      pulseward_log_lines_dropped_total: single(this.logLinesDropped),
      pulseward_label_overflow_total: overflowSamples(this.#counters),
    }
  }

  #configSamples() {
    const inForce = this.#inForce
    const reloads = Object.entries(this.#reloads)
    return {
      pulseward_config_info:
        inForce === undefined
          ? []
          : [{ labels: { sha256: inForce.sha256, version: String(inForce.version) }, value: 1 }],
      pulseward_config_last_reload_success:
        inForce === undefined ? [] : single(this.#lastReloadFailed ? 0 : 1),
      pulseward_config_last_reload_success_timestamp_seconds:
        inForce === undefined ? [] : single(inForce.at / 1000),
      pulseward_config_reloads_total: reloads.map(([result, value]) => ({ labels: { result }, value })),
    }
  }
}

function counterOf<Name extends MetricName>(name: Name): LabelledCounter<LabelOf<Name>> {
  const labels: Readonly<Record<string, Label>> = metricTable[name].labels
  return new LabelledCounter<LabelOf<Name>>(labels)
}
