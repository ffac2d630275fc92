// `npm run fuzz`: draws cases for as long as it is told and prints what was seen; 1 where anything broke.

import { parseArgs } from 'node:util'
import { Campaign } from './campaign.ts'
import { Corpus } from './corpus.ts'
import { describeFinding, describeRun } from './report.ts'
import { heapInUse, soak } from './soak.ts'

const usage = `npm run fuzz -- [--seconds N] [--seed S] [--only SEED:CASE]
  --seconds  how long, 60 by default
  --seed     where to begin, drawn from the clock by default and printed
  --only     one case again, as a failing run prints it
`
/** Bytes that a run may leave behind: compiled code and the books and coverage of the campaign itself. */
const leftBehind = 16 * 2 ** 20

try {
  process.exitCode = fuzz(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof RangeError) && !(error instanceof TypeError)) throw error
  process.stderr.write(`fuzz: ${error.message}\n${usage}`)
  process.exitCode = 2
}

function fuzz(argv: readonly string[]): number {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string' },
      only: { type: 'string' },
    },
  })
  const campaign = new Campaign(Corpus.ofVectors(new URL('../vectors/', import.meta.url)))
  if (values.only !== undefined) {
    const [seed = '', number = ''] = values.only.split(':')
    campaign.take({ seed: wholeNumber(seed, 'only'), number: wholeNumber(number, 'only') })
    return conclude(campaign)
  }
  const seed = values.seed === undefined ? Date.now() % 2 ** 32 : wholeNumber(values.seed, 'seed')
  const until = performance.now() + wholeNumber(values.seconds, 'seconds') * 1000
  say(`seed ${seed}`)
  // What the first cases compile and load is not what the rest may leave behind.
  let number = 0
  for (; number < 2000 && performance.now() < until; number++) campaign.take({ seed, number })
  const before = heapInUse()
  const began = performance.now()
  const first = number
  for (; performance.now() < until; number++) campaign.take({ seed, number })
  const seconds = (performance.now() - began) / 1000
  const grown = heapInUse() - before
  if (seconds > 0) say(`${Math.round((number - first) / seconds)} cases a second`)
  say(
    `heap ${(grown / 2 ** 20).toFixed(1)} MiB above its start, ${(soak(seed) / 1024).toFixed(0)} KiB in a long session`,
  )
  const isTooMuch = grown > leftBehind
  if (isTooMuch) say('the heap grew beyond its bound')
  return Math.max(conclude(campaign), isTooMuch ? 1 : 0)
}

function conclude(campaign: Campaign): number {
  say(describeRun(campaign))
  for (const finding of campaign.findings) say(describeFinding(finding))
  return campaign.findings.length === 0 ? 0 : 1
}

function wholeNumber(text: string, option: string): number {
  const number = Number(text)
  if (text === '' || !Number.isSafeInteger(number) || number < 0)
    throw new RangeError(`--${option} takes a whole number, not "${text}"`)
  return number
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
