// The one table of all metrics: names, types, meanings and bounded label sets; public surface from the first day.
//
// Prometheus' naming conventions (https://prometheus.io/docs/practices/naming/), prefix `pulseward_`. The process_ and
// nodejs_ names carry no prefix: the client libraries agreed on them, and dashboards and alert rules know them.

import { PacketType } from '../mqtt/packet.ts'
import { metric } from './metric.ts'

export type { Label, Metric } from './metric.ts'

export type MetricName = keyof typeof metricTable

/** The names of a metric's labels. */
export type LabelOf<Name extends MetricName> = Extract<keyof (typeof metricTable)[Name]['labels'], string>

/** Upper bounds of the handshake histogram's buckets, in seconds: from loopback to a device that computes for seconds. */
export const handshakeBounds = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const

/** What became of an arriving connection. */
export const acceptResults = [
  'accepted',
  'over-limit',
  'over-address-limit',
  'draining',
  'accept-error',
] as const
export const handshakeResults = ['full', 'resumed', 'failed', 'timeout'] as const

/** What came of the proof that the other end of a pair owes. */
export const pairingResults = [
  'proven',
  'pair-mismatch',
  'pair-unproven',
  'pair-missing',
  'pair-closed',
] as const

/** Why evidence was lost. */
export const evidenceFailures = ['queue-full', 'too-many', 'full', 'write'] as const

const tlsVersions = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3', 'none']
/** As `getEphemeralKeyInfo()` of Node 26 names them; finite-field groups have no name there, only the type DH. */
const tlsGroups = (
  'X25519MLKEM768 SecP256r1MLKEM768 SecP384r1MLKEM1024 MLKEM512 MLKEM768 MLKEM1024 ' +
  'X25519 X448 prime256v1 secp384r1 secp521r1 DH none'
).split(' ')

const listener = { meaning: 'listener of proxy.yaml', most: 256 }
const upstream = { meaning: 'upstream of proxy.yaml', most: 256 }
const server = { meaning: 'host:port of proxy.yaml', most: 256 }
const address = { meaning: 'IP address, of each server at most 16', most: 4096 }
const crl = { meaning: 'file or URL of proxy.yaml', most: 256 }
const leg = { meaning: 'the side of Pulseward', values: ['device', 'broker'] }
const direction = { meaning: 'up: device to broker; down: broker to device', values: ['up', 'down'] }
const action = { meaning: 'what policy did about it', most: 16 }

export const metricTable = {
  pulseward_build_info: metric('gauge', 'Build and configuration', 'What runs; always 1.', {
    version: { meaning: 'version of Pulseward', most: 1 },
    node: { meaning: 'version of Node.js', most: 1 },
    openssl: { meaning: 'version of OpenSSL inside Node.js', most: 1 },
  }),
  pulseward_config_info: metric('gauge', 'Build and configuration', 'The proxy.yaml in force; always 1.', {
    sha256: { meaning: 'SHA-256 of the file, in hex', most: 1 },
    version: { meaning: 'number of the load since the start, from 1', most: 1 },
  }),
  pulseward_config_last_reload_success: metric(
    'gauge',
    'Build and configuration',
    'Whether the last load of proxy.yaml succeeded (1) or failed, an older one staying in force (0).',
  ),
  pulseward_config_last_reload_success_timestamp_seconds: metric(
    'gauge',
    'Build and configuration',
    'When proxy.yaml was last loaded with success, in seconds since 1970.',
  ),
  pulseward_config_reloads_total: metric(
    'counter',
    'Build and configuration',
    'Reloads of proxy.yaml, the load at the start not counted.',
    { result: { meaning: 'how the reload ended', values: ['success', 'failure'] } },
  ),

  pulseward_connections: metric('gauge', 'Connections', 'Device connections open now.', { listener }),
  pulseward_connections_limit: metric('gauge', 'Connections', 'Most connections a listener keeps open.', {
    listener,
  }),
  pulseward_connections_total: metric('counter', 'Connections', 'Device connections that arrived.', {
    listener,
    result: { meaning: 'what became of it', values: acceptResults },
  }),
  pulseward_device_sessions: metric(
    'gauge',
    'Connections',
    'Sessions open now: their CONNECT passed every check.',
    {
      listener,
      transport: { meaning: 'how the device speaks to Pulseward', values: ['plain', 'tls'] },
    },
  ),
  pulseward_rejections_total: metric('counter', 'Connections', 'Connections Pulseward refused or closed.', {
    listener,
    reason: { meaning: 'id of the rule or code of the error', most: 256 },
  }),
  pulseward_bytes_total: metric(
    'counter',
    'Connections',
    'Application bytes: inside TLS where there is TLS.',
    {
      leg,
      direction: { meaning: 'as Pulseward sees it', values: ['received', 'sent'] },
    },
  ),

  pulseward_mqtt_packets_total: metric('counter', 'MQTT', 'MQTT control packets that passed.', {
    direction,
    type: { meaning: 'control packet type', values: Object.keys(PacketType) },
  }),
  pulseward_mqtt_connack_total: metric(
    'counter',
    'MQTT',
    'CONNACK packets sent to devices, by the broker or by Pulseward.',
    { code: { meaning: 'return code (3.1, 3.1.1) or reason code (5.0), decimal', most: 256 } },
  ),
  pulseward_keepalive_expired_total: metric(
    'counter',
    'MQTT',
    'Sessions closed because a device missed its keep alive.',
  ),

  pulseward_tls_handshakes_total: metric('counter', 'TLS', 'TLS handshakes.', {
    leg,
    version: { meaning: 'negotiated protocol, none if it failed before', values: tlsVersions },
    group: { meaning: 'key exchange group, none if unknown or unused', values: tlsGroups },
    result: { meaning: 'how it ended', values: handshakeResults },
  }),
  pulseward_tls_handshake_seconds: metric('histogram', 'TLS', 'Seconds completed handshakes took.', { leg }),

  pulseward_pairings_total: metric('counter', 'TLS', 'Proofs asked of the other end of a pair.', {
    leg,
    result: { meaning: 'proven, or why not', values: pairingResults },
  }),

  pulseward_upstream_dial_failures_total: metric(
    'counter',
    'Brokers',
    'Attempts to reach a broker that failed before its identity could be judged.',
    { upstream, reason: { meaning: 'code of the failure', most: 32 } },
  ),
  pulseward_upstream_verify_failures_total: metric(
    'counter',
    'Brokers',
    'Brokers reached but not trusted; not one application byte was sent to them.',
    {
      upstream,
      verdict: { meaning: 'what the handshake most likely means', most: 32 },
      cause: { meaning: 'the gravest thing wrong with it', most: 32 },
    },
  ),
  pulseward_upstream_trusted: metric(
    'gauge',
    'Brokers',
    'Whether the last handshake with a server was trusted (1), or not or not yet (0).',
    { upstream, server },
  ),
  pulseward_upstream_address_trusted: metric(
    'gauge',
    'Brokers',
    'Whether the last handshake with an address that the name of a server resolves to was trusted (1), or not (0).',
    { upstream, server, address },
  ),
  pulseward_upstream_address_last_check_timestamp_seconds: metric(
    'gauge',
    'Brokers',
    'When an address of a server was last checked, in seconds since 1970; 0 if not yet.',
    { upstream, server, address },
  ),
  pulseward_upstream_cert_not_after_timestamp_seconds: metric(
    'gauge',
    'Brokers',
    'End of validity of the certificates in the chain verified last, in seconds since 1970.',
    {
      upstream,
      position: { meaning: 'place in the chain, 0 is the leaf', most: 10 },
      pin: { meaning: 'first twelve characters of the pin of its key', most: 256 },
    },
  ),
  pulseward_upstream_pins: metric('gauge', 'Brokers', 'Pins that count, those accepted included.', {
    upstream,
  }),
  pulseward_upstream_first_use_pins: metric(
    'gauge',
    'Brokers',
    'Pins that count because a server showed their key first; nothing proves whose they are.',
    { upstream },
  ),
  pulseward_upstream_pin_not_after_timestamp_seconds: metric(
    'gauge',
    'Brokers',
    'Last moment a pin counts, in seconds since 1970; only pins with notAfter have one.',
    {
      upstream,
      pin: { meaning: 'first twelve characters of the pin', most: 256 },
      role: { meaning: 'whether the chain verified last has its key', values: ['current', 'backup'] },
    },
  ),
  pulseward_upstream_pin_mismatches_reported_total: metric(
    'counter',
    'Brokers',
    'Handshakes that only the pins spoke against, let through because `pinMode` is `report`.',
    { upstream, verdict: { meaning: 'what the handshake most likely means', most: 32 } },
  ),

  pulseward_upstream_crl_next_update_timestamp_seconds: metric(
    'gauge',
    'Brokers',
    'When a revocation list in force has to be renewed, in seconds since 1970; 0 while there is none.',
    { upstream, crl },
  ),
  pulseward_crl_fetches_total: metric('counter', 'Brokers', 'Fetches of revocation lists from their URLs.', {
    result: { meaning: 'how it ended', values: ['success', 'failure'] },
  }),

  pulseward_evidence_incidents_total: metric(
    'counter',
    'Brokers',
    'Incidents recorded: brokers not trusted, each once while it lasts.',
    { verdict: { meaning: 'what the handshake most likely means', most: 32 } },
  ),
  pulseward_evidence_bytes: metric(
    'gauge',
    'Brokers',
    'Size of the evidence on disk: incidents and their hash chain.',
  ),
  pulseward_evidence_failures_total: metric('counter', 'Brokers', 'Evidence that could not be recorded.', {
    reason: { meaning: 'what stood against it', values: evidenceFailures },
  }),

  pulseward_findings_total: metric('counter', 'Findings', 'Findings of detectors.', {
    detector: { meaning: 'kind of the detector', most: 64 },
    severity: { meaning: 'how grave the detector holds it to be', most: 8 },
    action,
  }),
  pulseward_rule_hits_total: metric('counter', 'Findings', 'Frames that broke a rule.', {
    rule: { meaning: 'id of the rule', most: 512 },
    direction,
    action,
  }),

  pulseward_event_loop_lag_seconds: metric(
    'gauge',
    'The proxy itself',
    'How late timers ran since the last scrape but one, renewed at most every five seconds.',
    { stat: { meaning: 'median, 99th percentile or worst', values: ['p50', 'p99', 'max'] } },
  ),
  pulseward_log_lines_suppressed_total: metric(
    'counter',
    'The proxy itself',
    'Log lines left out because too many like them came.',
  ),
  pulseward_log_lines_dropped_total: metric(
    'counter',
    'The proxy itself',
    'Log lines lost because whoever reads the log is too slow.',
  ),
  pulseward_label_overflow_total: metric(
    'counter',
    'The proxy itself',
    'Label values replaced by "other": unknown, no code, or the set is full.',
    { metric: { meaning: 'the metric concerned', most: 64 } },
  ),
  process_cpu_seconds_total: metric(
    'counter',
    'The proxy itself',
    'User and system CPU time spent, in seconds.',
  ),
  process_start_time_seconds: metric(
    'gauge',
    'The proxy itself',
    'When the process started, in seconds since 1970.',
  ),
  process_resident_memory_bytes: metric('gauge', 'The proxy itself', 'Resident memory, in bytes.'),
  process_open_fds: metric('gauge', 'The proxy itself', 'File descriptors open now; on Linux.'),
  process_max_fds: metric(
    'gauge',
    'The proxy itself',
    'Most file descriptors the process may open; on Linux.',
  ),
  nodejs_heap_size_used_bytes: metric('gauge', 'The proxy itself', 'JavaScript heap in use, in bytes.'),
  nodejs_heap_size_total_bytes: metric('gauge', 'The proxy itself', 'JavaScript heap reserved, in bytes.'),
  nodejs_external_memory_bytes: metric(
    'gauge',
    'The proxy itself',
    'Memory buffers hold outside the heap, in bytes.',
  ),
}
