// Topics that begin with $: which first levels devices may publish to.

import { describe, expect, test } from 'vitest'
import { checkDollar } from '../../src/mqtt/dollar.ts'
import { PublishView } from '../../src/mqtt/publish.ts'
import { rules } from '../../src/mqtt/rules.ts'
import { fault } from '../../src/mqtt/rule.ts'
import { scopeOf } from '../help/scope.ts'

/** A PUBLISH in the middle of a chunk. */
function viewOf(topic: string): PublishView {
  const view = new PublishView()
  view.topic = Buffer.from(`$SYS/${topic}/x`)
  view.from = 5
  view.to = view.topic.length - 2
  return view
}

const dollarTopics = ['$SYS', '$aws', '$prüf']

describe('a topic that begins with $', () => {
  test.each([
    ['ward/$SYS', true],
    ['$SYS', true],
    ['$SYS/uptime', true],
    ['$aws/things/pump', true],
    ['$prüf/1', true],
    ['$sys/uptime', false],
    ['$SYSTEM/uptime', false],
    ['$SY', false],
    ['$', false],
    ['$/SYS', false],
    [' $secret', true],
  ])('%j may be published to: %s', (topic, may) => {
    const enforcing = scopeOf({ preset: 'strict', limits: { dollarTopics } })
    expect(checkDollar(viewOf(topic), 7, enforcing)).toBe(may ? 0 : fault(rules.dollarTopic, 7))
    const reporting = scopeOf({ limits: { dollarTopics } })
    expect(checkDollar(viewOf(topic), 7, reporting)).toBe(0)
    expect(reporting.reports).toEqual(may ? [] : ['dollar-topic @7'])
  })

  test('is nobody’s concern where the rule is off, or the topic unknown', () => {
    const off = scopeOf({ rules: { 'dollar-topic': 'off' } })
    expect(checkDollar(viewOf('$secret'), 7, off)).toBe(0)
    expect(off.reports).toEqual([])
    expect(checkDollar(new PublishView(), 7, scopeOf({ preset: 'strict' }))).toBe(0)
  })
})
