// The progress bar: what it shows, how often, and that nothing of it stays.

import { expect, test } from 'vitest'
import { Progress } from '../../src/cli/progress.ts'

test('is drawn at most ten times a second, never beyond its end, and wiped when it is done', () => {
  const drawn: string[] = []
  let now = 5000
  {
    using progress = new Progress({ total: 200, write: (text) => drawn.push(text), clock: () => now })
    progress.at(50, 'a')
    now += 99
    progress.at(60, 'b')
    now += 1
    progress.at(100, 'c')
    now += 100
    progress.at(300, 'd')
  }
  expect(drawn).toEqual([
    '\r[######------------------]  25 %  a\u001b[K',
    '\r[############------------]  50 %  c\u001b[K',
    '\r[########################] 100 %  d\u001b[K',
    '\r\u001b[K',
  ])
})

test('of something nobody knows the size of stays at its beginning, and one that was never drawn leaves nothing', () => {
  const drawn: string[] = []
  const options = { total: 0, write: (text: string) => drawn.push(text), clock: () => 0 }
  new Progress(options)[Symbol.dispose]()
  expect(drawn).toEqual([])
  new Progress(options).at(10, 'x')
  expect(drawn).toEqual(['\r[------------------------]   0 %  x\u001b[K'])
})
