// Every option of proxy.yaml, with its meaning, unit, range and default: the only place an option exists.
import { z } from 'zod'
import { defaultDetectors, detectorSchema } from '../detect/registry.ts'
import { keyPair, limits, listenerTls } from './device-schema.ts'
import { classSchema, inspectionSchema } from './inspection-schema.ts'
import { farEndSchema, nearEndSchema, plaintextSchema } from './pair-schema.ts'
import { address, count, duration, hostName, name, path, pinEntry, server, size, span } from './scalars.ts'
import { revocationSchema } from './revocation-schema.ts'

/** The upstream that needs no entry: a broker inside Pulseward, for trying it out. */
export const EMBEDDED = 'embedded'

export const listenerSchema = z.strictObject({
  name: name.describe('Name in metrics and logs: lower-case letters, digits and dashes.'),
  bind: address().describe(
    'Where devices connect; plaintext and TLS share the port. `[::]` takes IPv4 as well.',
  ),
  accept: z
    .array(z.enum(['mqtt', 'mqtts']))
    .min(1)
    .max(2)
    .default(['mqtt', 'mqtts'])
    .describe('What devices may speak: `mqtt` is plaintext, `mqtts` is TLS.'),
  tls: listenerTls.prefault({}).describe('The TLS that devices speak to Pulseward.'),
  pair: farEndSchema
    .exactOptional()
    .describe('Makes this the far end of a pair: near ends prove themselves here; see docs/paired-mode.md.'),
  upstream: z.string().describe(`Name of the upstream its devices go to, or \`${EMBEDDED}\`.`),
  limits: limits.prefault({}).describe('What one listener lets strangers use up.'),
  inspection: inspectionSchema
    .exactOptional()
    .describe('What is demanded of packets here, in place of the `inspection` of the file.'),
})

const upstreamTls = z.strictObject({
  minVersion: z.enum(['TLSv1.2', 'TLSv1.3']).default('TLSv1.3').describe('Oldest TLS the broker may choose.'),
  ca: z
    .union(
      [z.literal('system'), path('file').transform((file) => [file]), z.array(path('file')).min(1).max(16)],
      {
        error: 'expected system, a PEM file or a list of them',
      },
    )
    .prefault('system')
    .describe(
      'Who may have signed the certificate of the broker: the CAs Node ships (`system`), or PEM files.',
    ),
  pins: z
    .array(pinEntry())
    .max(64)
    .default([])
    .describe(
      'Public keys of which one must be in the verified chain; keep one of a spare key. See `pulseward pin`.',
    ),
  firstUse: z
    .enum(['refuse', 'accept'])
    .default('refuse')
    .describe(
      '`accept` takes the key that each server shows first for its pin, where there are no `pins`; it proves nothing about who answered first.',
    ),
  singlePin: z
    .enum(['refuse', 'accept'])
    .default('refuse')
    .describe(
      '`accept` starts with one pin and no backup: when the key of the broker changes, nobody gets in.',
    ),
  pinMode: z
    .enum(['enforce', 'report'])
    .default('enforce')
    .describe(
      '`report` lets a broker through that only the pins speak against, and says so in log and metrics.',
    ),
  warnBefore: span({ min: '0s', max: '3650d' })
    .prefault('30d')
    .describe('How long before a certificate or pin ends the log says so, once a day.'),
  clientCertificate: keyPair
    .exactOptional()
    .describe('What Pulseward shows a broker that asks for a certificate.'),
  serverName: hostName().exactOptional().meta({
    description: 'Name sent to the broker and looked for in its certificate.',
    otherwise: 'the host of the server',
  }),
  postQuantum: z
    .enum(['prefer', 'require', 'off'])
    .default('prefer')
    .describe(
      'Post-quantum key exchange (X25519MLKEM768): offer it first, refuse all else, or leave it out.',
    ),
  resumption: z
    .enum(['on', 'off'])
    .default('on')
    .describe(
      'Resume TLS sessions with the broker for up to an hour; `off` has every connection prove the key of the certificate.',
    ),
  profile: z
    .enum(['enforce', 'report', 'off'])
    .default('enforce')
    .describe(
      'A server whose TLS version, key exchange or cipher is weaker than it ever was: refuse it, only report it, or learn nothing.',
    ),
  profileAfter: span({ min: '0s', max: '365d' })
    .prefault('24h')
    .describe(
      'How long a server is watched, in at least eight handshakes, before it is held to what it showed.',
    ),
  weakCertificates: z
    .enum(['refuse', 'accept'])
    .default('refuse')
    .describe(
      'RSA keys from 1024 bits and SHA-1 signatures in its chain: for an old broker whose certificate cannot be renewed.',
    ),
  revocation: revocationSchema
    .prefault({})
    .describe('Who says that a certificate of its chain is void; see docs/trust.md.'),
})

export const upstreamSchema = z.strictObject({
  servers: z
    .array(server())
    .min(1)
    .max(16)
    .describe(
      'Brokers with the same sessions behind them, tried in this order; the port defaults to 8883 (`mqtt://`: 1883).',
    ),
  tls: upstreamTls.prefault({}).describe('How the broker proves who it is.'),
  pair: nearEndSchema
    .exactOptional()
    .describe('Makes this the near end of a pair: `servers` must prove themselves; see docs/paired-mode.md.'),
  plaintext: plaintextSchema,
  timeouts: z
    .strictObject({
      dial: duration({ min: '10ms', max: '5m' })
        .prefault('5s')
        .describe('Time a server has to take the TCP connection before the next is tried.'),
      handshake: duration({ min: '10ms', max: '5m' })
        .prefault('10s')
        .describe('Time it then has to finish the TLS handshake, and again to prove itself in a pair.'),
      connack: duration({ min: '100ms', max: '10m' })
        .prefault('30s')
        .describe('Time a broker then has to answer a CONNECT before the device is told that none is there.'),
      distrust: duration({ min: '0s', max: '24h' })
        .prefault('60s')
        .describe('Time a server that failed the checks of `tls` is left alone.'),
    })
    .prefault({})
    .describe('How long Pulseward waits for a server.'),
  canary: z
    .strictObject({
      interval: z
        .union([z.literal('off'), duration({ min: '1s', max: '24h' })], {
          error: 'expected off, or a duration of 1s to 24h such as 5m',
        })
        .prefault('5m')
        .describe(
          'Time between two handshakes with every address of every server, devices or not; `off` leaves the one at start.',
        ),
    })
    .prefault({})
    .describe('How Pulseward looks after its servers by itself; see docs/trust.md.'),
})

export const configSchema = z.strictObject({
  listeners: z.array(listenerSchema).min(1).max(64).describe('Where devices connect.'),
  upstreams: z
    .record(name, upstreamSchema)
    .prefault({})
    .describe('The brokers, by a name of your choice; it becomes a metric label.'),
  metrics: z
    .strictObject({ bind: address().prefault('127.0.0.1:9464').describe('Where Prometheus and probes ask.') })
    .prefault({})
    .describe('The HTTP side: `/metrics`, `/healthz`, `/readyz`. Without authentication: keep it inside.'),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least severity written.'),
    })
    .prefault({})
    .describe('JSON lines on standard output.'),
  state: path('directory')
    .prefault('state')
    .describe(
      'Where Pulseward keeps what it mints, the key of the local CA among it; back it up, keep it private.',
    ),
  evidence: z
    .strictObject({
      repeat: duration({ min: '1s', max: '24d' })
        .prefault('1h')
        .describe('An incident lasts until it was not seen for so long: repeats only raise its count.'),
      maxSize: size({ min: '64KiB', max: '1GiB' })
        .prefault('64MiB')
        .describe('Size of all evidence; beyond it the oldest incidents go, and their hashes stay.'),
      maxIncidents: count(1, 100_000)
        .default(1000)
        .describe('Incidents kept; beyond them the oldest go, and their hashes stay.'),
    })
    .prefault({})
    .describe(
      'The record of brokers that were not trusted, in `evidence/` below `state`; see docs/evidence.md.',
    ),
  reload: z
    .strictObject({
      watch: z
        .boolean()
        .default(true)
        .describe('Reload when this file or one it names changes; SIGHUP always reloads.'),
    })
    .prefault({})
    .describe('How a changed file comes into force. One with mistakes never does: the old stays.'),
  drain: z
    .strictObject({
      timeout: duration({ min: '0s', max: '1h' })
        .prefault('30s')
        .describe('Time open sessions have to end once SIGTERM came.'),
    })
    .prefault({})
    .describe('How Pulseward stops.'),
  policy: z
    .strictObject({
      mode: z
        .enum(['enforce', 'observe'])
        .default('enforce')
        .describe(
          '`observe` only reports what rules and detectors find; what cannot be told apart any more is refused in either.',
        ),
    })
    .prefault({})
    .describe('What is done about findings.'),
  inspection: inspectionSchema
    .prefault({})
    .describe('What is demanded of every packet; the rules are explained in docs/rules.md.'),
  classes: z
    .array(classSchema)
    .max(64)
    .default([])
    .describe('Kinds of device that can take less than others; the first one that fits counts.'),
  detectors: z
    .array(detectorSchema)
    .max(256)
    .default(() => [...defaultDetectors])
    .describe(
      'What is looked for in frames that are well-formed; a list given here replaces the default one.',
    ),
})

/** proxy.yaml as parsed: durations in milliseconds, sizes in bytes, every default filled in. */
export type Config = z.output<typeof configSchema>
export type ListenerConfig = z.output<typeof listenerSchema>
export type UpstreamConfig = z.output<typeof upstreamSchema>
export type KeyPair = z.output<typeof keyPair>
