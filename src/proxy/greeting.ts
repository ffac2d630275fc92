// What a CONNACK of MQTT 5.0 shows of the broker itself: what it can do and how much it takes (3.2.2.3).

import type { Packet } from '../mqtt/decode.ts'
import type { Showing } from '../tls/profile.ts'

type Properties = NonNullable<Extract<Packet, { cmd: 'connack' }>['properties']>

/** What is not told has the value that the standard gives it; what concerns the device alone is left out. */
export function greetingOf({
  maximumQoS,
  retainAvailable,
  wildcardSubscriptionAvailable,
  sharedSubscriptionAvailable,
  subscriptionIdentifiersAvailable,
  receiveMaximum,
  maximumPacketSize,
  topicAliasMaximum,
  serverKeepAlive,
}: Properties): Showing {
  return {
    'maximum-qos': String(maximumQoS ?? 2),
    'retain-available': yesOrNo(retainAvailable),
    'wildcard-available': yesOrNo(wildcardSubscriptionAvailable),
    'shared-available': yesOrNo(sharedSubscriptionAvailable),
    'subscription-ids-available': yesOrNo(subscriptionIdentifiersAvailable),
    'receive-maximum': String(receiveMaximum ?? 65_535),
    'maximum-packet-size': String(maximumPacketSize ?? 'none'),
    'topic-alias-maximum': String(topicAliasMaximum ?? 0),
    'server-keep-alive': String(serverKeepAlive ?? 'none'),
  }
}

function yesOrNo(available: boolean | undefined): string {
  return available === false ? 'no' : 'yes'
}
