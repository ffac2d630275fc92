// A process that writes devices into a ledger until it is killed; every number on its output is on disk.

import { firstSight, learned, write } from '../../src/identity/device.ts'
import { keyOf } from '../../src/identity/observation.ts'
import { Store } from '../../src/ledger/store.ts'

const [path = ''] = process.argv.slice(2)
let count = 0
const ignore = (): void => {}
const store: Store = await Store.open(path, {
  records: ignore,
  orders: ignore,
  written: () => {
    // What was kept before the batch was handed over is on disk once nothing waits.
    if (store.waiting > 0) return
    process.stdout.write(`${count}\n`)
    more()
  },
  failed: (error) => process.stderr.write(`${error}\n`),
})

function more(): void {
  for (let one = 0; one < 150; one += 1) {
    count += 1
    const clientId = `pump-${count}`
    const seen = {
      realm: 'hospital',
      clientId,
      listener: 'ward',
      at: count,
      traits: { mac: '02:00:00:00:00:07' },
    }
    store.kept(keyOf('hospital', clientId), write(learned(firstSight(seen), seen)))
  }
}

more()
// The thread does not keep a process alive by itself.
setInterval(() => {}, 1000)
