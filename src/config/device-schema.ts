// The options of proxy.yaml about devices on the wire: what they may use up, what they are shown, how old their TLS may be.
import { hostname } from 'node:os'
import { z } from 'zod'
import { parseHost } from './endpoint.ts'
import { count, duration, hostName, path, size } from './scalars.ts'

export const keyPair = z.strictObject({
  cert: path('file').describe('PEM file with the certificate, and the intermediate ones after it.'),
  key: path('file').describe('PEM file with the private key of that certificate, without a passphrase.'),
})

/** What one listener lets strangers use up. */
export const limits = z.strictObject({
  connections: count(1, 1_000_000)
    .default(10_000)
    .describe('Connections open at once; one more is closed as soon as it is accepted.'),
  perAddress: count(1, 1_000_000)
    .default(64)
    .describe('Connections open at once from one IP address; raise it where devices share one behind NAT.'),
  connectTimeout: duration({ min: '10ms', max: '10m' })
    .prefault('10s')
    .describe('Time a device has, from accept, to finish TLS and send a whole CONNECT.'),
  maxConnectPacket: size({ min: '64B', max: '256MiB' })
    .prefault('64KiB')
    .describe('Largest CONNECT, which is held in memory whole, will and password included.'),
  maxControlPacket: size({ min: '64B', max: '16MiB' })
    .prefault('256KiB')
    .describe(
      'Largest other packet that is held in memory whole, or head of a PUBLISH; its payload streams through.',
    ),
  maxPacket: size({ min: '64B', max: '256MiB' })
    .prefault('2MiB')
    .describe('Largest PUBLISH in either direction, payload included; the session ends on a larger one.'),
  idle: duration({ min: '100ms', max: '24d' })
    .prefault('24h')
    .describe('Silence after which a device that asked for no keep alive is closed.'),
  halfClose: duration({ min: '10ms', max: '1h' })
    .prefault('60s')
    .describe('Time a session of which one side has finished may stay open without a byte moving.'),
})

export const listenerTls = z.strictObject({
  certificate: z
    .union([z.literal('auto'), keyPair], { error: 'expected auto, or cert and key' })
    .prefault('auto')
    .describe('What devices are shown: `auto` is minted by the local CA in `state`, or name your own files.'),
  names: z
    .array(hostName())
    .min(1)
    .max(64)
    .optional()
    .transform((given) => given ?? localNames())
    .meta({
      description:
        'Names and addresses the `auto` certificate is good for: what devices have in their settings.',
      otherwise: 'localhost, 127.0.0.1, ::1 and the name of the machine',
    }),
  minVersion: z
    .enum(['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'])
    .default('TLSv1.2')
    .describe(
      'Oldest TLS a device may speak; below TLSv1.2 is broken (RFC 8996), for devices that know no other.',
    ),
})

function localNames(): string[] {
  const names = ['localhost', '127.0.0.1', '::1']
  try {
    names.push(parseHost(hostname()))
  } catch {
    // A machine may bear a name no certificate can.
  }
  return [...new Set(names)]
}
