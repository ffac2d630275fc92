// The options of proxy.yaml about who devices are: the ledger, how long it learns, and what suspicion leads to.
import { z } from 'zod'
import { count, span } from './scalars.ts'

const mode = z
  .enum(['off', 'report', 'enforce'])
  .describe(
    'What a suspicion leads to: `report` logs and counts it, `enforce` also refuses the session once the stage is ' +
      '`suspected`; `off` keeps no record of devices.',
  )
const learn = span({ min: '0s', max: '365d' }).describe(
  'Time from the first start with a listener in which changes of its devices are learnt and raise no suspicion.',
)

export const identitySchema = z.strictObject({
  mode: mode.default('off'),
  learn: learn.prefault('24h'),
  maxDevices: count(1, 1_000_000)
    .default(100_000)
    .describe(
      'Devices remembered; beyond them those go first that came only once, and never an approved one.',
    ),
  keep: span({ min: '1m', max: '3650d' })
    .prefault('365d')
    .describe('Time after which a device that was not seen, and that nobody approved, is forgotten.'),
  neighbours: z
    .boolean()
    .default(true)
    .describe('Watch the neighbour table of the kernel through the program `ip`; Linux.'),
})

/** What a listener may have of its own. */
export const listenerIdentitySchema = z.strictObject({
  mode: mode.exactOptional().meta({ otherwise: 'that of the file' }),
  learn: learn.exactOptional().meta({ otherwise: 'that of the file' }),
})
