// What a scrape returns: names pinned, conventions checked by promtool, values as counted.
import { spawn, spawnSync } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { rules } from '../../src/mqtt/rules.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import type { Metrics } from '../../src/observe/metrics.ts'
import { ByteCount, packetsOf } from '../../src/observe/samples.ts'
import { metricTable } from '../../src/observe/table.ts'

const hasPromtool = spawnSync('promtool', ['--version']).status === 0

describe('the names and labels', () => {
  it('are public surface: changing this list is a breaking change', () => {
    const surface = Object.entries(metricTable).map(([name, { type, labels }]) =>
      [type, `${name}{${Object.keys(labels).join(',')}}`].join(' '),
    )
    expect(surface).toEqual([
      'gauge pulseward_build_info{version,node,openssl}',
      'gauge pulseward_config_info{sha256,version}',
      'gauge pulseward_config_last_reload_success{}',
      'gauge pulseward_config_last_reload_success_timestamp_seconds{}',
      'counter pulseward_config_reloads_total{result}',
      'gauge pulseward_connections{listener}',
      'gauge pulseward_connections_limit{listener}',
      'counter pulseward_connections_total{listener,result}',
      'gauge pulseward_device_sessions{listener,transport}',
      'counter pulseward_rejections_total{listener,reason}',
      'counter pulseward_bytes_total{leg,direction}',
      'counter pulseward_mqtt_packets_total{direction,type}',
      'counter pulseward_mqtt_connack_total{code}',
      'counter pulseward_keepalive_expired_total{}',
      'counter pulseward_tls_handshakes_total{leg,version,group,result}',
      'histogram pulseward_tls_handshake_seconds{leg}',
      'counter pulseward_pairings_total{leg,result}',
      'counter pulseward_upstream_dial_failures_total{upstream,reason}',
      'counter pulseward_upstream_verify_failures_total{upstream,verdict,cause}',
      'gauge pulseward_upstream_trusted{upstream,server}',
      'gauge pulseward_upstream_address_trusted{upstream,server,address}',
      'gauge pulseward_upstream_address_last_check_timestamp_seconds{upstream,server,address}',
      'gauge pulseward_upstream_cert_not_after_timestamp_seconds{upstream,position,pin}',
      'gauge pulseward_upstream_pins{upstream}',
      'gauge pulseward_upstream_first_use_pins{upstream}',
      'gauge pulseward_upstream_pin_not_after_timestamp_seconds{upstream,pin,role}',
      'counter pulseward_upstream_pin_mismatches_reported_total{upstream,verdict}',
      'gauge pulseward_upstream_crl_next_update_timestamp_seconds{upstream,crl}',
      'counter pulseward_crl_fetches_total{result}',
      'counter pulseward_evidence_incidents_total{verdict}',
      'gauge pulseward_evidence_bytes{}',
      'counter pulseward_evidence_failures_total{reason}',
      'counter pulseward_findings_total{detector,severity,action}',
      'counter pulseward_rule_hits_total{rule,direction,action}',
      'gauge pulseward_event_loop_lag_seconds{stat}',
      'counter pulseward_log_lines_suppressed_total{}',
      'counter pulseward_log_lines_dropped_total{}',
      'counter pulseward_label_overflow_total{metric}',
      'counter process_cpu_seconds_total{}',
      'gauge process_start_time_seconds{}',
      'gauge process_resident_memory_bytes{}',
      'gauge process_open_fds{}',
      'gauge process_max_fds{}',
      'gauge nodejs_heap_size_used_bytes{}',
      'gauge nodejs_heap_size_total_bytes{}',
      'gauge nodejs_external_memory_bytes{}',
    ])
  })

  it('stand in the exposition, each once, with every label its samples carry', async () => {
    using metrics = busyMetrics()
    const exposition = await metrics.expose()
    const declared = [...exposition.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type])
    expect(declared).toEqual(Object.entries(metricTable).map(([name, { type }]) => [name, type]))
    for (const [, name = '', labels = ''] of exposition.matchAll(/^([a-z_]+)(?:\{(.*)\})? \S+$/gm)) {
      const family = name in metricTable ? name : name.replace(/_(bucket|sum|count)$/, '')
      const spec: Record<string, unknown> = (metricTable as Record<string, { labels: object }>)[family]
        ?.labels as never
      const carried = [...labels.matchAll(/(\w+)="/g)]
        .map(([, label]) => label)
        .filter((label) => label !== 'le')
      expect(carried, name).toEqual(Object.keys(spec))
    }
  })

  it.skipIf(!hasPromtool && process.env['CI'] === undefined)('pass `promtool check metrics`', async () => {
    expect(hasPromtool, 'promtool is missing').toBe(true)
    using metrics = busyMetrics()
    expect(await checkMetrics(await metrics.expose())).toEqual({ code: 0, said: '' })
  })
})

describe('counting', () => {
  it('starts every closed set at zero, so that the first increase is seen', async () => {
    using metrics = createMetrics({ version: '1.2.3' })
    metrics.adopted(inForce())
    const lines = await scrape(metrics)
    expect(lines).toContain('pulseward_connections_total{listener="ward",result="over-limit"} 0')
    expect(lines).toContain('pulseward_mqtt_packets_total{direction="down",type="auth"} 0')
    expect(lines).toContain('pulseward_bytes_total{leg="broker",direction="sent"} 0')
    expect(lines).toContain('pulseward_mqtt_connack_total{code="0"} 0')
    expect(lines).toContain('pulseward_config_reloads_total{result="failure"} 0')
  })

  it('shows rules that were only reported beside those that ended a session, and none that never was broken', async () => {
    using metrics = createMetrics({ version: '1.2.3' })
    metrics.reports.down[rules.pingrespUnasked.index] = 3
    metrics.reports.up[rules.topicWildcard.index] = 1
    metrics.ruleHit('topic-wildcard', 'up', 'refuse')
    const lines = await scrape(metrics)
    expect(lines.filter((line) => line.startsWith('pulseward_rule_hits_total')).toSorted()).toEqual([
      'pulseward_rule_hits_total{rule="pingresp-unasked",direction="down",action="forward"} 3',
      'pulseward_rule_hits_total{rule="topic-wildcard",direction="up",action="forward"} 1',
      'pulseward_rule_hits_total{rule="topic-wildcard",direction="up",action="refuse"} 1',
    ])
  })

  it('shows what was counted', async () => {
    using metrics = busyMetrics()
    const lines = await scrape(metrics)
    const expected = [
      'pulseward_build_info{version="1.2.3",node="',
      'pulseward_config_info{sha256="5f70bf18",version="1"} 1',
      'pulseward_connections{listener="ward"} 1',
      'pulseward_connections_limit{listener="ward"} 100',
      'pulseward_connections_total{listener="ward",result="accepted"} 2',
      'pulseward_device_sessions{listener="ward",transport="tls"} 1',
      'pulseward_device_sessions{listener="ward",transport="plain"} 0',
      'pulseward_rejections_total{listener="ward",reason="http"} 1',
      'pulseward_bytes_total{leg="device",direction="received"} 12',
      'pulseward_mqtt_packets_total{direction="up",type="publish"} 3',
      'pulseward_mqtt_packets_total{direction="down",type="puback"} 2',
      'pulseward_mqtt_connack_total{code="135"} 1',
      'pulseward_keepalive_expired_total 4',
      'pulseward_upstream_dial_failures_total{upstream="hospital",reason="refused"} 1',
      'pulseward_upstream_verify_failures_total{upstream="hospital",verdict="likely-mitm",cause="self-signed"} 1',
      'pulseward_upstream_trusted{upstream="hospital",server="broker-a.example:8883"} 1',
      'pulseward_upstream_trusted{upstream="hospital",server="[2001:db8::1]:8883"} 0',
      'pulseward_upstream_address_trusted{upstream="hospital",server="broker-a.example:8883",address="192.0.2.7"} 1',
      'pulseward_upstream_address_trusted{upstream="hospital",server="broker-a.example:8883",address="2001:db8::7"} 0',
      'pulseward_upstream_address_last_check_timestamp_seconds{upstream="hospital",server="broker-a.example:8883",address="192.0.2.7"} 1800000000',
      'pulseward_upstream_address_last_check_timestamp_seconds{upstream="hospital",server="broker-a.example:8883",address="2001:db8::7"} 0',
      'pulseward_upstream_cert_not_after_timestamp_seconds{upstream="hospital",position="0",pin="leafleafleaf"} 1800000000',
      'pulseward_upstream_pin_not_after_timestamp_seconds{upstream="hospital",pin="AAAAAAAAAAAA",role="current"} 1800000000',
      'pulseward_upstream_pin_not_after_timestamp_seconds{upstream="hospital",pin="BBBBBBBBBBBB",role="backup"} 1900000000',
      'pulseward_upstream_pin_mismatches_reported_total{upstream="hospital",verdict="likely-rotation"} 1',
      'pulseward_upstream_crl_next_update_timestamp_seconds{upstream="hospital",crl="/lists/ca.crl"} 1900000000',
      'pulseward_upstream_crl_next_update_timestamp_seconds{upstream="hospital",crl="http://pki.example/ca.crl"} 0',
      'pulseward_crl_fetches_total{result="failure"} 1',
      'pulseward_upstream_pins{upstream="hospital"} 2',
      'pulseward_evidence_incidents_total{verdict="likely-mitm"} 1',
      'pulseward_evidence_bytes 4096',
      'pulseward_evidence_failures_total{reason="write"} 1',
      'pulseward_findings_total{detector="publish-rate",severity="high",action="refuse"} 1',
      'pulseward_rule_hits_total{rule="topic-wildcard",direction="up",action="close"} 1',
      'pulseward_log_lines_suppressed_total 7',
    ]
    for (const line of expected)
      expect(
        lines.find((one) => one.startsWith(line)),
        line,
      ).toBeDefined()
  })

  it('tells a certificate without a readable end by its absence', async () => {
    using metrics = createMetrics({ version: '1.2.3' })
    metrics.adopted(inForce())
    metrics.trusted('hospital', 'broker-a.example:8883', [Number.NaN, 1_900_000_000_500])
    expect(matching(await scrape(metrics), 'pulseward_upstream_cert')).toEqual([
      'pulseward_upstream_cert_not_after_timestamp_seconds{upstream="hospital",position="1",pin=""} 1900000000.5',
    ])
  })
})

describe('handshake durations', () => {
  it('are a cumulative histogram of completed handshakes', async () => {
    using metrics = createMetrics({ version: '1.2.3' })
    const handshake = { leg: 'broker', version: 'TLSv1.3', group: 'X25519MLKEM768' } as const
    for (const seconds of [0.0005, 0.01, 0.011, 30])
      metrics.handshaken({ ...handshake, result: 'full', seconds })
    metrics.handshaken({ ...handshake, result: 'failed', seconds: 0.02 })
    const lines = matching(await scrape(metrics), 'pulseward_tls_handshake_seconds').filter((line) =>
      line.includes('broker'),
    )
    const counts = lines.filter((line) => line.includes('_bucket')).map((line) => Number(line.split(' ')[1]))
    expect(counts).toEqual([1, 1, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4])
    expect(lines.at(-3)).toBe('pulseward_tls_handshake_seconds_bucket{leg="broker",le="+Inf"} 4')
    expect(Number(lines.at(-2)?.split(' ')[1])).toBeCloseTo(30.0215)
    expect(lines.at(-1)).toBe('pulseward_tls_handshake_seconds_count{leg="broker"} 4')
  })
})

describe('a reload', () => {
  it('ends the gauges of names that vanished and keeps the state of those that stay', async () => {
    using metrics = busyMetrics()
    const next = inForce()
    metrics.adopted({
      ...next,
      version: 2,
      listeners: [{ name: 'clinic', limit: 7 }],
      upstreams: [{ name: 'hospital', servers: ['broker-a.example:8883', 'broker-c.example:8883'], pins: 1 }],
    })
    const during = await scrape(metrics)
    expect(matching(during, 'pulseward_connections{')).toEqual([
      'pulseward_connections{listener="ward"} 1',
      'pulseward_connections{listener="clinic"} 0',
    ])
    expect(matching(during, 'pulseward_connections_limit')).toEqual([
      'pulseward_connections_limit{listener="clinic"} 7',
    ])
    expect(matching(during, 'pulseward_upstream_trusted')).toEqual([
      'pulseward_upstream_trusted{upstream="hospital",server="broker-a.example:8883"} 1',
      'pulseward_upstream_trusted{upstream="hospital",server="broker-c.example:8883"} 0',
    ])
    expect(during).toContain('pulseward_config_reloads_total{result="success"} 1')

    metrics.sessionClosed('ward', 'tls')
    metrics.connectionClosed('ward')
    metrics.adopted({ ...next, version: 3, listeners: [], upstreams: [] })
    const after = await scrape(metrics)
    for (const gone of [
      'pulseward_connections{',
      'pulseward_device_sessions',
      'pulseward_upstream_trusted',
      'pulseward_upstream_pins',
      'pulseward_upstream_cert',
    ]) {
      expect(matching(after, gone)).toEqual([])
    }
    expect(after).toContain('pulseward_connections_total{listener="ward",result="accepted"} 2')
  })

  it('that failed leaves the names and says so until one succeeds', async () => {
    using metrics = createMetrics({ version: '1.2.3' })
    expect(matching(await scrape(metrics), 'pulseward_config_last')).toEqual([])
    metrics.adopted(inForce())
    metrics.reloadFailed()
    const failed = await scrape(metrics)
    expect(failed).toContain('pulseward_config_last_reload_success 0')
    expect(failed).toContain('pulseward_config_reloads_total{result="failure"} 1')
    expect(failed).toContain('pulseward_config_last_reload_success_timestamp_seconds 1780000000')
    metrics.adopted({ ...inForce(), version: 2, at: 1_780_000_060_000 })
    const succeeded = await scrape(metrics)
    expect(succeeded).toContain('pulseward_config_last_reload_success 1')
    expect(succeeded).toContain('pulseward_config_last_reload_success_timestamp_seconds 1780000060')
    expect(matching(succeeded, 'pulseward_config_info')).toEqual([
      'pulseward_config_info{sha256="5f70bf18",version="2"} 1',
    ])
  })

  it('is not disturbed by a handshake with a server it removed', async () => {
    using metrics = createMetrics({ version: '1.2.3' })
    metrics.adopted({ ...inForce(), upstreams: [] })
    metrics.trusted('hospital', 'broker-a.example:8883', [1])
    metrics.connectionClosed('never-opened')
    const lines = await scrape(metrics)
    expect(matching(lines, 'pulseward_upstream_trusted')).toEqual([])
    expect(matching(lines, 'pulseward_connections{')).toEqual(['pulseward_connections{listener="ward"} 0'])
  })
})

describe('labels', () => {
  it('take no text a device could have chosen', async () => {
    using metrics = createMetrics({ version: '1.2.3' })
    for (const reason of ['client "infusor-7"', 'a\nb', 'x'.repeat(271), '']) metrics.rejected('ward', reason)
    metrics.handshaken({ leg: 'device', version: 'SSLv3', group: 'kyber', result: 'failed', seconds: 0 })
    const lines = await scrape(metrics)
    expect(matching(lines, 'pulseward_rejections_total')).toEqual([
      'pulseward_rejections_total{listener="ward",reason="other"} 4',
    ])
    expect(lines).toContain(
      'pulseward_tls_handshakes_total{leg="device",version="other",group="other",result="failed"} 1',
    )
    expect(lines).toContain('pulseward_label_overflow_total{metric="pulseward_rejections_total"} 4')
    expect(lines).toContain('pulseward_label_overflow_total{metric="pulseward_tls_handshakes_total"} 2')
  })

  it('stay bounded under a flood of codes', async () => {
    using metrics = createMetrics({ version: '1.2.3' })
    for (let number = 0; number < 5000; number += 1) metrics.rejected('ward', `code-${number}`)
    const lines = matching(await scrape(metrics), 'pulseward_rejections_total')
    expect(lines).toHaveLength(257)
    expect(lines).toContain('pulseward_rejections_total{listener="ward",reason="other"} 4744')
  })
})

it('scrapes that overlap share one rendering; the next one is fresh', async () => {
  using metrics = createMetrics({ version: '1.2.3' })
  const one = metrics.expose()
  const two = metrics.expose()
  expect(two).toBe(one)
  await one
  metrics.keepAliveExpired += 1
  expect(await scrape(metrics)).toContain('pulseward_keepalive_expired_total 1')
})

const dated = [
  { pin: 'sha256/A', label: 'AAAAAAAAAAAA', notAfter: 1_800_000_000_000, backup: true },
  { pin: 'sha256/B', label: 'BBBBBBBBBBBB', notAfter: 1_900_000_000_000, backup: false },
]

const lists = [
  { name: '/lists/ca.crl', nextUpdate: 1_900_000_000_000 },
  { name: 'http://pki.example/ca.crl', nextUpdate: undefined },
]

function inForce() {
  return {
    sha256: '5f70bf18',
    version: 1,
    at: 1_780_000_000_000,
    listeners: [{ name: 'ward', limit: 100 }],
    upstreams: [
      { name: 'hospital', servers: ['broker-a.example:8883', '[2001:db8::1]:8883'], pins: 2, dated, lists },
    ],
  }
}

/** Every metric has at least one sample. */
function busyMetrics(): Metrics {
  const metrics = createMetrics({ version: '1.2.3' })
  metrics.adopted(inForce())
  for (let times = 0; times < 2; times += 1) {
    metrics.arrived('ward', 'accepted')
    metrics.connectionOpened('ward')
  }
  metrics.connectionClosed('ward')
  metrics.sessionOpened('ward', 'tls')
  metrics.sessionOpened('ward', 'plain')
  metrics.sessionClosed('ward', 'plain')
  metrics.rejected('ward', 'http')
  metrics.bytes[ByteCount.deviceReceived] = 12
  metrics.packets[packetsOf.up + 3] = 3
  metrics.packets[packetsOf.down + 4] = 2
  metrics.connacks[135] = 1
  metrics.keepAliveExpired = 4
  metrics.logLinesSuppressed = 7
  metrics.handshaken({ leg: 'device', version: 'TLSv1.2', group: 'prime256v1', result: 'full', seconds: 0.2 })
  metrics.unreached('hospital', 'broker-a:8883', 'refused')
  metrics.trusted('hospital', '[2001:db8::1]:8883', [1_900_000_000_000])
  metrics.distrusted('hospital', '[2001:db8::1]:8883', 'likely-mitm', 'self-signed')
  const view = { labels: ['leafleafleaf', 'rootrootroot'], inUse: ['sha256/A'] }
  metrics.trusted('hospital', 'broker-a.example:8883', [1_800_000_000_000, 1_900_000_000_000], view)
  metrics.addresses('hospital', 'broker-a.example:8883', [
    { address: '192.0.2.7', verdict: 'trusted', checkedAt: 1_800_000_000_000 },
    { address: '2001:db8::7', verdict: 'likely-mitm', checkedAt: 0 },
  ])
  // A server that is no longer configured has no addresses.
  metrics.addresses('hospital', 'gone.example:8883', [
    { address: '192.0.2.9', verdict: 'trusted', checkedAt: 0 },
  ])
  metrics.pinMismatchReported('hospital', 'likely-rotation')
  metrics.evidenceRecorded('likely-mitm')
  metrics.evidenceHeld(4096)
  metrics.evidenceFailed('write')
  metrics.listFetched(false)
  metrics.found('publish-rate', 'high', 'refuse')
  metrics.ruleHit('topic-wildcard', 'up', 'close')
  return metrics
}

async function scrape(metrics: Metrics): Promise<string[]> {
  const exposition = await metrics.expose()
  return exposition.split('\n')
}

function matching(lines: readonly string[], start: string): string[] {
  return lines.filter((line) => line.startsWith(start))
}

async function checkMetrics(exposition: string): Promise<{ code: number | null; said: string }> {
  const promtool = spawn('promtool', ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] })
  promtool.stdin.end(exposition)
  const exit = new Promise<number | null>((resolve) => promtool.once('close', resolve))
  const [out, err] = await Promise.all([text(promtool.stdout), text(promtool.stderr)])
  return { code: await exit, said: out + err }
}
