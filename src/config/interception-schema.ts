// The options of a listener that say how devices, and those who speak for them, get to it.
import { z } from 'zod'
import { destination, interfaceName, network } from './scalars.ts'

export const interceptionOptions = {
  mode: z
    .enum(['direct', 'redirect', 'tproxy'])
    .default('direct')
    .describe(
      'How devices get here: they have this address in their settings, or the kernel takes them here on their way; see docs/interception.md.',
    ),
  interfaces: z
    .array(interfaceName)
    .max(16)
    .default([])
    .describe(
      'Network interfaces of the devices; `pulseward rules` intercepts nothing that comes by others.',
    ),
  destinations: z
    .array(
      z.strictObject({
        to: destination().describe('Where devices want to go: an address or network, and a port.'),
        upstream: z.string().exactOptional().meta({
          description: 'Name of the upstream they are taken to, or `embedded`.',
          otherwise: 'the upstream of the listener',
        }),
      }),
    )
    .max(256)
    .default([])
    .describe(
      'What is intercepted; the first one that fits counts. None: 1883, and 8883 where TLS is accepted.',
    ),
  otherDestinations: z
    .enum(['upstream', 'refuse'])
    .default('upstream')
    .describe('What becomes of devices that want to go elsewhere and got here all the same.'),
  trustedProxies: z
    .array(network())
    .max(256)
    .default([])
    .describe(
      'Proxies before us, which have to begin with a PROXY protocol header; nobody else may send one.',
    ),
  preserveSource: z
    .boolean()
    .default(false)
    .describe(
      'The broker sees the address of the device instead of ours; its answers must come by this machine.',
    ),
}
