// The options of proxy.yaml about revocation: where lists come from, and what is done about certificates nobody vouches for.
import { z } from 'zod'
import { duration, place } from './scalars.ts'

export const revocationSchema = z.strictObject({
  crl: z
    .union([place().transform((one) => [one]), z.array(place()).max(16)], {
      error: 'expected a file, a URL or a list of them',
    })
    .prefault([])
    .describe(
      'Lists of revoked certificates (CRL), one for each CA of the chain: files, PEM or DER, or HTTP URLs.',
    ),
  refresh: duration({ min: '1m', max: '24h' })
    .prefault('6h')
    .describe('Time between two fetches of a list from its URL; sooner where it ends sooner.'),
  staple: z
    .enum(['off', 'check', 'require'])
    .default('check')
    .describe(
      'OCSP response that the broker sends along: not asked for, judged where there is one, or necessary.',
    ),
  unknown: z
    .enum(['accept', 'refuse'])
    .default('accept')
    .describe(
      '`refuse` lets no broker through whose certificates are not known to be good, by lists in date or a staple.',
    ),
})
