// How far Pulseward and Mosquitto agree on which packets end a connection: `npm run agreement -- FOLDER`.

import { writeFile } from 'node:fs/promises'
import { messageOf } from '../../src/errors.ts'
import { version } from '../../src/version.ts'
import { judgeSequence, rulebookOf } from './core.ts'
import { findingsOf, isSound, reportsOf } from './findings.ts'
import { runLive } from './live.ts'
import { readOptions, usage, type Options } from './options.ts'
import { reasons } from './reasons.ts'
import { renderReport, type Part } from './report.ts'
import { loadSequences } from './sequences.ts'

const page = new URL('../../docs/agreement.md', import.meta.url)

const options = optionsOrUsage(process.argv.slice(2))
if (options === undefined) process.exitCode = 2
else {
  try {
    process.exitCode = await run(options)
  } catch (error) {
    process.stderr.write(`agreement: ${messageOf(error)}\n`)
    process.exitCode = 1
  }
}

function optionsOrUsage(argv: readonly string[]): Options | undefined {
  try {
    return readOptions(argv)
  } catch (error) {
    process.stderr.write(`agreement: ${messageOf(error)}\n${usage}`)
    return undefined
  }
}

/** Returns the exit code: 1 where there is a false drop, or a sequence that passed and nobody knows why. */
async function run({ folder, live, preset, write }: Options): Promise<number> {
  const book = rulebookOf(preset)
  const outcomes = loadSequences(folder).map((sequence) => judgeSequence(sequence, book))
  const grounds = { reasons, preset, reported: reportsOf(outcomes) }
  const parts: Part[] = [{ title: 'Core', outcomes, findings: findingsOf(outcomes, grounds) }]
  const through = live ? await runLive(outcomes, preset) : undefined
  if (through !== undefined)
    parts.push({
      title: 'Live',
      outcomes: through.outcomes,
      findings: findingsOf(through.outcomes, grounds),
    })
  const flags = `${live ? ' --live' : ''}${preset === 'standard' ? '' : ` --preset ${preset}`}`
  const command = `npm run agreement -- FOLDER${flags} --write`
  const report = renderReport({
    date: new Date(),
    version,
    command,
    preset,
    brokerVersion: through?.brokerVersion,
    parts,
  })
  process.stdout.write(report)
  if (write) await writeFile(page, report)
  return parts.every(({ findings }) => isSound(findings)) ? 0 : 1
}
