// A program that records one incident after another as fast as the disk allows, until it is killed.

import { Evidence } from '../../src/evidence/recorder.ts'
import { inForce, sighting, software } from './sightings.ts'

const [state = '', first = '0'] = process.argv.slice(2)
let recorded = 0
const evidence = new Evidence({
  software,
  metrics: {
    evidenceRecorded: () => {
      recorded += 1
      process.stderr.write(`recorded ${recorded}\n`)
    },
    evidenceFailed: (reason) => void process.stderr.write(`failed ${reason}\n`),
    evidenceHeld: () => {},
  },
  log: (_level, _kind, fields, message) =>
    void process.stdout.write(`${JSON.stringify({ message, ...fields })}\n`),
})
evidence.adopt({ state, repeat: 3_600_000, maxSize: 4 << 20, maxIncidents: 12 })
for (let number = Number(first); ; number += 1) {
  // Each twice, so that repeats are written too.
  for (let time = 0; time < 2; time += 1) {
    evidence.record(sighting({ server: `broker-${number}.example:8883`, at: Date.now() }), inForce)
  }
  await new Promise((resolve) => setTimeout(resolve, 1))
}
