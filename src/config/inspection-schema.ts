// The options of proxy.yaml about packets: which rules are enforced, their limits, and what kinds of device can take.
import { z } from 'zod'
import { modes, type Rule } from '../mqtt/rule.ts'
import { presets } from '../mqtt/rulebook.ts'
import { allRules } from '../mqtt/rules.ts'
import { count, duration, name, size } from './scalars.ts'

/** First levels devices publish to on brokers of known makers; none of them is a secret of the broker. */
const knownDollarTopics = [
  '$SYS',
  '$CONTROL',
  '$aws',
  '$iothub',
  '$dps',
  '$delayed',
  '$exclusive',
  '$file',
  '$events',
  '$share',
  '$thing',
  '$oc',
  '$sys',
  '$ota',
  '$gateway',
  '$shadow',
  '$broadcast',
  '$rpc',
]

const limits = z.strictObject({
  topicLevels: count(1, 65_535).default(200).describe('Levels of a topic name or filter.'),
  filters: count(1, 65_535).default(512).describe('Topic filters in one SUBSCRIBE or UNSUBSCRIBE.'),
  userProperties: count(0, 65_535).default(128).describe('User properties in one packet.'),
  propertyBytes: size({ min: '16B', max: '16MiB' })
    .prefault('64KiB')
    .describe('Size of the properties of one packet.'),
  topicAliases: count(0, 65_535)
    .default(1024)
    .describe('Topic aliases of one direction of a connection that are remembered.'),
  topicAliasBytes: size({ min: '0B', max: '16MiB' })
    .prefault('64KiB')
    .describe('Size of all topics together that aliases of one direction stand for.'),
  resends: count(0, 14)
    .default(1)
    .describe(
      'Times a QoS 2 message may come again, unchanged, after PUBREC; 14 where a device of 3.1 or 3.1.1 marks it as DUP.',
    ),
  keepAlive: duration({ min: '1s', max: '65535s' })
    .prefault('1h')
    .transform((milliseconds) => milliseconds / 1000)
    .describe('Longest keep alive that `keep-alive-long` is content with.'),
  publishRate: count(1, 10_000_000)
    .default(1000)
    .describe('Messages of one connection and direction within a second.'),
  clientIdChurn: count(1, 1_000_000)
    .default(30)
    .describe('CONNECTs with the same client identifier within a minute, over all listeners.'),
  clientIdCharacters: z
    .string()
    .regex(/^[ -~]+$/, { error: 'expected printable ASCII characters' })
    .max(95)
    .default('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:')
    .describe('Characters a client identifier may have; in quotes where YAML would misread them.'),
  dollarTopics: z
    .array(z.string().regex(/^\$[^/#+\0]*$/, { error: 'expected a first level such as "$aws"' }))
    .max(256)
    .default(knownDollarTopics)
    .describe('First levels that begin with $ to which devices may publish.'),
})

export const inspectionSchema = z.strictObject({
  preset: z
    .enum(presets)
    .default('standard')
    .describe(
      'What rules do that `rules` does not name: `strict` enforces nearly all, `standard` those that no sound ' +
        'client or broker breaks, `observe` only reports, but for the few that cannot be let pass.',
    ),
  rules: z
    .strictObject(Object.fromEntries(allRules.map((rule) => [rule.id, modeOption(rule)])))
    .prefault({})
    .describe(
      'Modes of single rules: `enforce` ends the session, `report` logs and counts, `off` does neither.',
    ),
  limits: limits.prefault({}).describe('Limits of the rules that no standard demands.'),
})

export const classSchema = z.strictObject({
  name: name.describe('Name in logs.'),
  clientIds: z
    .array(z.string().min(1).max(256))
    .min(1)
    .max(64)
    .describe('Client identifiers of its devices; `*` stands for any characters.'),
  maxTopic: size({ min: '1B', max: '64KiB' })
    .prefault('64KiB')
    .describe('Longest topic name in either direction; for devices with a small buffer.'),
  maxPayload: size({ min: '0B', max: '256MiB' })
    .prefault('256MiB')
    .describe('Largest payload in either direction.'),
  maxReceived: size({ min: '4B', max: '256MiB' })
    .prefault('256MiB')
    .describe('Largest packet towards its devices, fixed header included.'),
})

function modeOption(rule: Rule) {
  const description = `${rule.explanation[0]?.toUpperCase()}${rule.explanation.slice(1)}.`
  if (!rule.fixed) {
    const { standard, strict } = rule.mode
    const otherwise = standard === strict ? standard : `${standard}; ${strict} in \`strict\``
    return z.enum(modes).exactOptional().meta({ description, otherwise })
  }
  const error =
    'this rule can only be enforced: behind a packet that breaks it nobody can say what comes next'
  return z.literal('enforce', { error }).exactOptional().meta({ description, otherwise: 'enforce' })
}
