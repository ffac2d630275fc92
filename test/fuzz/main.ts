// `npm run fuzz`: draws cases for as long as it is told and prints what was seen; 1 where anything broke.

import { parseArgs } from 'node:util'
import { Campaign, type Place } from './campaign.ts'
import { Corpus } from './corpus.ts'
import { describeFinding, describeRun } from './report.ts'
import { Broken } from './side.ts'
import { heapInUse, soak } from './soak.ts'

const usage = `npm run fuzz -- [--seconds N] [--seed S] [--only SEED:CASE]
  --seconds  how long, 60 by default
  --seed     where to begin, drawn from the clock by default and printed
  --only     one case again, as a failing run prints it
`
/** Bytes that a run may leave behind: compiled code and the books and coverage of the campaign itself. */
const leftBehind = 16 * 2 ** 20
/** What these compile and load is not what the cases after them may leave behind. */
const warmUp = 2000

interface Options {
  readonly seconds: number
  readonly seed: number
  readonly only: Place | undefined
}

const options = readOptions(process.argv.slice(2))
if (options instanceof Error) {
  process.stderr.write(`fuzz: ${options.message}\n${usage}`)
  process.exitCode = 2
} else process.exitCode = fuzz(options) ? 0 : 1

function readOptions(args: string[]): Options | Error {
  try {
    const { seconds, seed, only } = parseArgs({
      args,
      options: { seconds: { type: 'string' }, seed: { type: 'string' }, only: { type: 'string' } },
    }).values
    const [from = '', number = ''] = only?.split(':') ?? []
    return {
      seconds: seconds === undefined ? 60 : wholeNumber(seconds, 'seconds'),
      seed: seed === undefined ? Date.now() % 2 ** 32 : wholeNumber(seed, 'seed'),
      only:
        only === undefined
          ? undefined
          : { seed: wholeNumber(from, 'only'), number: wholeNumber(number, 'only') },
    }
  } catch (error) {
    if (error instanceof Error) return error
    throw error
  }
}

/** Whether everything held. */
function fuzz({ seconds, seed, only }: Options): boolean {
  const campaign = new Campaign(Corpus.ofVectors(new URL('../vectors/', import.meta.url)))
  let isBounded = true
  if (only === undefined) isBounded = fuzzFor(seconds, seed, campaign)
  else campaign.take(only)
  say(describeRun(campaign))
  for (const finding of campaign.findings) say(describeFinding(finding))
  return isBounded && campaign.findings.length === 0
}

/** Whether memory stayed within its bounds. */
function fuzzFor(seconds: number, seed: number, campaign: Campaign): boolean {
  say(`seed ${seed}`)
  const until = performance.now() + seconds * 1000
  let number = 0
  for (; number < warmUp && performance.now() < until; number++) campaign.take({ seed, number })
  const before = heapInUse()
  const began = performance.now()
  for (; performance.now() < until; number++) campaign.take({ seed, number })
  const rate = (number - warmUp) / ((performance.now() - began) / 1000)
  const grown = heapInUse() - before
  if (rate > 0) say(`${Math.round(rate)} cases a second`)
  say(`heap ${(grown / 2 ** 20).toFixed(1)} MiB above its start`)
  if (grown > leftBehind) say('BROKEN: the heap grew beyond its bound')
  return soaks(seed) && grown <= leftBehind
}

function soaks(seed: number): boolean {
  try {
    say(`${(soak(seed) / 1024).toFixed(0)} KiB held by a long session`)
    return true
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    say(`BROKEN: ${error.message}`)
    return false
  }
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
