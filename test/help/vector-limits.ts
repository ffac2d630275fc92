// What a test vector asks of the rulebook: limits of its own, a class for its device, and connections before.

import type { DeviceClass, FrameLimits, PolicyLimits } from '../../src/mqtt/rulebook.ts'

/** A whole number. */
export function parseCount(text: string, name: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`${name}: not a count: "${text}"`)
  return Number(text)
}

const frameKeys = ['connect', 'control', 'publish']
const policyKeys = [
  'topicLevels',
  'filters',
  'userProperties',
  'propertyBytes',
  'topicAliases',
  'topicAliasBytes',
  'resends',
  'keepAlive',
  'publishRate',
  'clientIdChurn',
]

/** `connect=40 topicLevels=3`. */
export function parseLimits(
  text: string,
  name: string,
): { frames: Partial<FrameLimits>; policy: Partial<PolicyLimits> } {
  const given = parsePairs(text, [...frameKeys, ...policyKeys], 'limit', name)
  const those = (keys: readonly string[]) => Object.fromEntries(given.filter(([key]) => keys.includes(key)))
  return { frames: those(frameKeys), policy: those(policyKeys) }
}

/** `topic=64 payload=10`: a class that every device is in. */
export function parseClass(text: string, name: string): DeviceClass {
  const given = new Map(parsePairs(text, ['topic', 'payload', 'received'], 'limit of a class', name))
  return {
    name: 'vector',
    clientIds: ['*'],
    maxTopic: given.get('topic') ?? Infinity,
    maxPayload: given.get('payload') ?? Infinity,
    maxReceived: given.get('received') ?? Infinity,
  }
}

function parsePairs(text: string, keys: readonly string[], what: string, name: string): [string, number][] {
  const words = text.split(' ').filter((word) => word !== '')
  return words.map((word) => {
    const [, key = '', value] = /^([a-zA-Z]+)=(\d+)$/.exec(word) ?? []
    if (!keys.includes(key)) throw new Error(`${name}: not a ${what}: "${word}"`)
    return [key, Number(value)]
  })
}
