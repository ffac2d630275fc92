// The options of proxy.yaml about paired mode: by which keys the two ends prove themselves, and who else is let in.
import { z } from 'zod'
import { path, peer } from './scalars.ts'

const keys = {
  peers: z
    .array(peer())
    .min(1)
    .max(16)
    .exactOptional()
    .describe('What `pulseward pair show` prints at the other end: the key in use, and the next one.'),
  sharedKeys: z
    .array(
      z.union([
        z
          .strictObject({ file: path('file').describe('File with the key.') })
          .describe('A key that is not written into proxy.yaml.'),
        z.string().meta({ kind: 'key' }),
      ]),
    )
    .min(1)
    .max(4)
    .exactOptional()
    .describe(
      'Instead of `peers`: keys both ends hold, base64 of 32 bytes or a file with it; the first proves, each is accepted.',
    ),
}

/** Of an upstream. */
export const nearEndSchema = z.strictObject(keys)

/** Of a listener. */
export const farEndSchema = z.strictObject({
  ...keys,
  others: z
    .enum(['refuse', 'accept'])
    .default('refuse')
    .describe('What becomes of devices that connect here themselves, without a near end.'),
})

export const plaintextSchema = z
  .enum(['loopback', 'accept'])
  .default('loopback')
  .describe(
    'Where a paired far end may use `mqtt://` servers: on its own machine, or (`accept`) across a network you trust.',
  )

export type PairConfig = z.output<typeof nearEndSchema>
