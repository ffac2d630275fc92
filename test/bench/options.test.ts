// The benchmark's command line.
import { describe, expect, test } from 'vitest'
import { PEERS, SCENARIOS, readOptions } from '../../bench/options.ts'

describe('readOptions', () => {
  test('without arguments does everything three times', () => {
    expect(readOptions([], 'results')).toEqual({
      scenarios: [...SCENARIOS],
      micro: false,
      analyze: false,
      peers: [...PEERS],
      rounds: 3,
      publish: false,
      quick: false,
      out: 'results',
      help: false,
    })
  })

  test('a quick run is one round unless told otherwise', () => {
    expect(readOptions(['--quick'], 'results').rounds).toBe(1)
    expect(readOptions(['--quick', '--rounds', '4'], 'results').rounds).toBe(4)
  })

  test('a choice keeps the order of the table and ignores repeats and spaces', () => {
    const options = readOptions(['--only', 'e, a,a', '--peers', 'relay,haproxy', '--out', 'x'], 'results')
    expect(options.scenarios).toEqual(['a', 'e'])
    expect(options.peers).toEqual(['haproxy', 'relay'])
    expect(options.out).toBe('x')
  })

  test('micro or analyze alone asks for no scenario', () => {
    expect(readOptions(['--only', 'analyze'], 'results')).toMatchObject({
      scenarios: [],
      micro: false,
      analyze: true,
    })
    expect(readOptions(['--only', 'micro'], 'results')).toMatchObject({ scenarios: [], micro: true })
    expect(readOptions(['--only', 'micro,b'], 'results')).toMatchObject({ scenarios: ['b'], micro: true })
  })

  test.each([
    [['--only', 'a,z'], '--only: "z" is none of a, b, c, d, e, micro, analyze'],
    [['--peers', ''], '--peers: "" is none of pulseward, haproxy, stunnel, nginx, relay'],
    [['--rounds', '0'], '--rounds: "0" is not a whole number from 1 to 20'],
    [['--rounds', '1.5'], '--rounds: "1.5" is not a whole number from 1 to 20'],
    [['--rounds', '21'], '--rounds: "21" is not a whole number from 1 to 20'],
  ])('%j is refused', (argv, message) => {
    expect(() => readOptions(argv, 'results')).toThrow(new RangeError(message))
  })

  test('an unknown option is refused by its name', () => {
    expect(() => readOptions(['--fast'], 'results')).toThrow(RangeError)
    expect(() => readOptions(['--fast'], 'results')).toThrow("'--fast'")
  })
})
