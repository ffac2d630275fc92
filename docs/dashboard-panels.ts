// The panels of the Grafana dashboard: what each shows, and which runbook answers the question it raises.

interface Query {
  readonly expr: string
  readonly legend: string
}

export interface Panel {
  readonly title: string
  readonly kind: 'stat' | 'timeseries' | 'table' | 'bargauge'
  /** One sentence for who looks at it at three in the morning. */
  readonly tells: string
  /** A section of docs/runbooks.md. */
  readonly runbook?: string
  readonly unit?: string
  /** Of 24. */
  readonly width: number
  /** From which value on a colour counts; the first has none. */
  readonly steps?: readonly (readonly [color: string, from: number | null])[]
  readonly queries: readonly Query[]
}

interface Section {
  readonly title: string
  readonly panels: readonly Panel[]
}

export const good = 'green'
const bad = 'red'
const doubtful = 'orange'
const anyIsBad = [
  [good, null],
  [bad, 1],
] as const
const oneIsGood = [
  [bad, null],
  [good, 1],
] as const
const fewAreBad = [
  [bad, null],
  [doubtful, 14],
  [good, 30],
] as const

const ours = 'instance=~"$instance"'
const ofUpstream = `${ours}, upstream=~"$upstream"`
const ofListener = `${ours}, listener=~"$listener"`
const rate = '[$__rate_interval]'

export const sections: readonly Section[] = [
  {
    title: 'Is anything wrong?',
    panels: [
      {
        title: 'Brokers',
        kind: 'stat',
        tells: 'Servers that can be trusted now: all of them, or devices may soon be refused.',
        runbook: 'pulsewardbrokerdown',
        unit: 'percentunit',
        width: 4,
        steps: [
          [bad, null],
          [doubtful, 0.01],
          [good, 1],
        ],
        queries: [{ expr: `avg(pulseward_upstream_trusted{${ofUpstream}})`, legend: 'trusted' }],
      },
      {
        title: 'Somebody else answered, in the time shown',
        kind: 'stat',
        tells:
          'Handshakes that look like a man in the middle or a downgrade; nothing was sent to any of them.',
        runbook: 'pulsewardbrokermaninthemiddle',
        width: 5,
        steps: anyIsBad,
        queries: [
          {
            expr: `sum(increase(pulseward_upstream_verify_failures_total{${ofUpstream}, verdict=~"likely-mitm|downgraded"}[$__range])) or vector(0)`,
            legend: 'handshakes',
          },
        ],
      },
      {
        title: 'Incidents on record',
        kind: 'stat',
        tells: 'Brokers that were not trusted, each once while it lasted, since the proxy started.',
        runbook: 'pulsewardbrokermaninthemiddle',
        width: 4,
        steps: anyIsBad,
        queries: [
          { expr: `sum(pulseward_evidence_incidents_total{${ours}}) or vector(0)`, legend: 'incidents' },
        ],
      },
      {
        title: 'Devices',
        kind: 'stat',
        tells: 'Sessions open now.',
        width: 3,
        queries: [{ expr: `sum(pulseward_device_sessions{${ofListener}}) or vector(0)`, legend: 'sessions' }],
      },
      {
        title: 'Refused, a second',
        kind: 'stat',
        tells: 'Connections that were refused or closed.',
        runbook: 'pulsewardrefusalssurge',
        width: 4,
        steps: [
          [good, null],
          [doubtful, 0.2],
          [bad, 2],
        ],
        queries: [
          {
            expr: `sum(rate(pulseward_rejections_total{${ofListener}}[5m])) or vector(0)`,
            legend: 'refused',
          },
        ],
      },
      {
        title: 'proxy.yaml',
        kind: 'stat',
        tells: '1 where the last proxy.yaml is in force, 0 where it was refused and an older one stays.',
        runbook: 'pulsewardreloadfailed',
        width: 4,
        steps: oneIsGood,
        queries: [{ expr: `min(pulseward_config_last_reload_success{${ours}})`, legend: 'in force' }],
      },
    ],
  },
  {
    title: 'Brokers: security posture',
    panels: [
      {
        title: 'Addresses and whether they are trusted',
        kind: 'table',
        tells: 'Every address the names of the servers resolve to, as the canary found it last.',
        runbook: 'pulsewardbrokeraddresssuspect',
        width: 12,
        steps: oneIsGood,
        queries: [
          {
            expr: `pulseward_upstream_address_trusted{${ofUpstream}}`,
            legend: '{{upstream}} {{server}} {{address}}',
          },
        ],
      },
      {
        title: 'Not trusted, a second',
        kind: 'timeseries',
        tells: 'Handshakes that were not trusted, by what they most likely mean.',
        runbook: 'pulsewardbrokermaninthemiddle',
        width: 12,
        queries: [
          {
            expr: `sum by (upstream, verdict, cause) (rate(pulseward_upstream_verify_failures_total{${ofUpstream}}${rate}))`,
            legend: '{{upstream}}: {{verdict}} ({{cause}})',
          },
          {
            expr: `sum by (upstream, reason) (rate(pulseward_upstream_dial_failures_total{${ofUpstream}}${rate}))`,
            legend: '{{upstream}}: not reached ({{reason}})',
          },
        ],
      },
      {
        title: 'Certificates: days left',
        kind: 'bargauge',
        tells: 'Of every certificate of the chain verified last; 0 is the broker’s own.',
        runbook: 'pulsewardcertificateexpiressoon',
        unit: 'd',
        width: 8,
        steps: fewAreBad,
        queries: [
          {
            expr: `(pulseward_upstream_cert_not_after_timestamp_seconds{${ofUpstream}} - time()) / 86400`,
            legend: '{{upstream}} {{position}}',
          },
        ],
      },
      {
        title: 'Pins with an end: days left',
        kind: 'bargauge',
        tells: 'Only pins with notAfter have one.',
        runbook: 'pulsewardpinexpiressoon',
        unit: 'd',
        width: 8,
        steps: fewAreBad,
        queries: [
          {
            expr: `(pulseward_upstream_pin_not_after_timestamp_seconds{${ofUpstream}} - time()) / 86400`,
            legend: '{{upstream}} {{pin}} {{role}}',
          },
        ],
      },
      {
        title: 'Handshakes with brokers, by version and key exchange',
        kind: 'timeseries',
        tells: 'X25519MLKEM768 withstands a quantum computer; X25519 alone does not.',
        width: 8,
        queries: [
          {
            expr: `sum by (version, group, result) (rate(pulseward_tls_handshakes_total{${ours}, leg="broker"}${rate}))`,
            legend: '{{version}} {{group}} {{result}}',
          },
        ],
      },
    ],
  },
  {
    title: 'Devices: security posture and detections',
    panels: [
      {
        title: 'Plaintext and TLS',
        kind: 'timeseries',
        tells: 'Sessions by how the device speaks to Pulseward.',
        runbook: 'pulsewardplaintextsharerose',
        width: 8,
        queries: [
          {
            expr: `sum by (listener, transport) (pulseward_device_sessions{${ofListener}})`,
            legend: '{{listener}} {{transport}}',
          },
        ],
      },
      {
        title: 'Refused, by reason',
        kind: 'timeseries',
        tells: 'The reason is the id of a rule or a code; docs/rules.md has the rules.',
        runbook: 'pulsewardrefusalssurge',
        width: 8,
        queries: [
          {
            expr: `topk(10, sum by (listener, reason) (rate(pulseward_rejections_total{${ofListener}}${rate})))`,
            legend: '{{listener}}: {{reason}}',
          },
        ],
      },
      {
        title: 'CONNACK, by code',
        kind: 'timeseries',
        tells: '0 is welcome; 4, 5, 134 and 135 are wrong credentials; 3 and 136 no broker.',
        runbook: 'pulsewardcredentialguessing',
        width: 8,
        queries: [
          { expr: `sum by (code) (rate(pulseward_mqtt_connack_total{${ours}}${rate}))`, legend: '{{code}}' },
        ],
      },
      {
        title: 'Findings',
        kind: 'timeseries',
        tells: 'What detectors noticed, and what policy did about it.',
        width: 12,
        queries: [
          {
            expr: `sum by (detector, severity, action) (increase(pulseward_findings_total{${ours}}[5m]))`,
            legend: '{{detector}} {{severity}} {{action}}',
          },
        ],
      },
      {
        title: 'Rules that were broken',
        kind: 'timeseries',
        tells: 'Ten rules broken most; up is by devices, down by brokers.',
        width: 12,
        queries: [
          {
            expr: `topk(10, sum by (rule, direction, action) (increase(pulseward_rule_hits_total{${ours}}[5m])))`,
            legend: '{{rule}} {{direction}} {{action}}',
          },
        ],
      },
    ],
  },
  {
    title: 'Traffic',
    panels: [
      {
        title: 'Connections',
        kind: 'timeseries',
        tells: 'Open now, beside the most a listener keeps.',
        runbook: 'pulsewardconnectionsfill',
        width: 8,
        queries: [
          { expr: `sum by (listener) (pulseward_connections{${ofListener}})`, legend: '{{listener}}' },
          {
            expr: `max by (listener) (pulseward_connections_limit{${ofListener}})`,
            legend: '{{listener}} at most',
          },
        ],
      },
      {
        title: 'Arrivals, a second',
        kind: 'timeseries',
        tells: 'Connections by what became of them.',
        runbook: 'pulsewardconnectionflood',
        width: 8,
        queries: [
          {
            expr: `sum by (listener, result) (rate(pulseward_connections_total{${ofListener}}${rate}))`,
            legend: '{{listener}} {{result}}',
          },
        ],
      },
      {
        title: 'Packets, a second',
        kind: 'timeseries',
        tells: 'MQTT control packets that passed.',
        width: 8,
        queries: [
          {
            expr: `sum by (direction, type) (rate(pulseward_mqtt_packets_total{${ours}}${rate}))`,
            legend: '{{direction}} {{type}}',
          },
        ],
      },
      {
        title: 'Bytes, a second',
        kind: 'timeseries',
        tells: 'Application bytes: inside TLS where there is TLS.',
        unit: 'Bps',
        width: 12,
        queries: [
          {
            expr: `sum by (leg, direction) (rate(pulseward_bytes_total{${ours}}${rate}))`,
            legend: '{{leg}} {{direction}}',
          },
        ],
      },
      {
        title: 'TLS handshakes: 99 of 100 take less than',
        kind: 'timeseries',
        tells: 'With brokers and with devices.',
        unit: 's',
        width: 12,
        queries: [
          {
            expr: `histogram_quantile(0.99, sum by (leg, le) (rate(pulseward_tls_handshake_seconds_bucket{${ours}}${rate})))`,
            legend: '{{leg}}',
          },
        ],
      },
    ],
  },
  {
    title: 'The proxy itself',
    panels: [
      {
        title: 'CPU',
        kind: 'timeseries',
        tells: 'Of one core: at 1 everything waits.',
        runbook: 'pulsewardlags',
        unit: 'percentunit',
        width: 6,
        queries: [{ expr: `rate(process_cpu_seconds_total{${ours}}${rate})`, legend: '{{instance}}' }],
      },
      {
        title: 'How late it reacts',
        kind: 'timeseries',
        tells: 'Lag of the event loop: every reading waits that long.',
        runbook: 'pulsewardlags',
        unit: 's',
        width: 6,
        queries: [{ expr: `pulseward_event_loop_lag_seconds{${ours}}`, legend: '{{instance}} {{stat}}' }],
      },
      {
        title: 'Memory',
        kind: 'timeseries',
        tells: 'Resident, and the JavaScript heap in it.',
        unit: 'bytes',
        width: 6,
        queries: [
          { expr: `process_resident_memory_bytes{${ours}}`, legend: '{{instance}} resident' },
          { expr: `nodejs_heap_size_used_bytes{${ours}}`, legend: '{{instance}} heap' },
        ],
      },
      {
        title: 'Descriptors and losses',
        kind: 'timeseries',
        tells: 'File descriptors in use, as a share; log lines and evidence that were lost.',
        runbook: 'pulsewarddescriptorsrunout',
        width: 6,
        queries: [
          {
            expr: `process_open_fds{${ours}} / process_max_fds{${ours}}`,
            legend: '{{instance}} descriptors',
          },
          {
            expr: `increase(pulseward_log_lines_dropped_total{${ours}}[5m])`,
            legend: '{{instance}} log lines lost',
          },
          {
            expr: `sum by (reason) (increase(pulseward_evidence_failures_total{${ours}}[5m]))`,
            legend: 'evidence lost: {{reason}}',
          },
        ],
      },
    ],
  },
]
