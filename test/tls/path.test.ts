import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { trustAnchors } from '../../src/tls/anchors.ts'
import { verifiedPaths } from '../../src/tls/path.ts'
import { makePki } from '../help/pki.ts'

const read = (cert: string): X509Certificate => new X509Certificate(cert)
const names = (path: readonly X509Certificate[]): string[] =>
  path.map(({ subject }) => subject.replace(/^.*CN=/s, ''))

test('a path continues beyond an anchor that has an issuer among the anchors', async () => {
  const pki = await makePki('Root')
  const middle = await pki.intermediate({ commonName: 'Middle' })
  const leaf = await pki.issue({ ca: middle, names: ['leaf'] })
  const anchors = trustAnchors([middle.cert, pki.ca.cert])
  const paths = [...verifiedPaths([read(leaf.cert)], anchors)]
  expect(paths.map(names)).toEqual([
    ['leaf', 'Middle'],
    ['leaf', 'Middle', 'Root'],
  ])
})

test('the order of what is served does not matter, nor repetition', async () => {
  const pki = await makePki('Root')
  const outer = await pki.intermediate({ commonName: 'Outer' })
  const inner = await pki.intermediate({ commonName: 'Inner', ca: outer })
  const leaf = await pki.issue({ ca: inner, names: ['leaf'] })
  const served = [leaf.cert, outer.cert, pki.ca.cert, inner.cert, outer.cert, leaf.cert].map(read)
  const paths = [...verifiedPaths(served, trustAnchors([pki.ca.cert]))]
  expect(paths.map(names)).toEqual([['leaf', 'Inner', 'Outer', 'Root']])
})

test('the same name without the signature is no issuer', async () => {
  const pki = await makePki('Root')
  const leaf = await pki.issue({ names: ['leaf'] })
  const rogue = await pki.rogue()
  expect([...verifiedPaths([leaf.cert, rogue.cert].map(read), trustAnchors([rogue.cert]))]).toEqual([])
})

test('sixteen authorities that all sign each other end the search, not the proxy', async () => {
  const pki = await makePki('Same')
  const keep = { keep: pki.ca.key }
  const crowd = await Promise.all(
    Array.from({ length: 15 }, () => pki.intermediate({ commonName: 'Same', key: keep })),
  )
  const leaf = await pki.issue({ names: ['leaf'] })
  const served = [leaf, ...crowd].map(({ cert }) => read(cert))
  const elsewhere = trustAnchors([(await makePki('Elsewhere')).ca.cert])
  expect([...verifiedPaths(served, elsewhere)]).toEqual([])
  // With the right anchor the direct way is still found, and first.
  const [first] = verifiedPaths(served, trustAnchors([pki.ca.cert]))
  expect(first?.length).toBe(2)
  expect([...verifiedPaths(served, trustAnchors([pki.ca.cert]))].length).toBeLessThanOrEqual(256)
})

test('a path of ten certificates is the longest', async () => {
  const pki = await makePki('Root')
  const chain = [pki.ca]
  for (let depth = 1; depth <= 9; depth++) {
    const ca = chain[0]
    if (ca !== undefined) chain.unshift(await pki.intermediate({ commonName: `Level ${depth}`, ca }))
  }
  const [deep, high] = chain
  if (deep === undefined || high === undefined) throw new Error('no chain')
  const served = chain.slice(0, -1)
  const anchors = trustAnchors([pki.ca.cert])
  const tooDeep = await pki.issue({ ca: deep, names: ['leaf'] })
  expect([
    ...verifiedPaths(
      [tooDeep, ...served].map(({ cert }) => read(cert)),
      anchors,
    ),
  ]).toEqual([])
  const justRight = await pki.issue({ ca: high, names: ['leaf'] })
  const [path] = verifiedPaths(
    [justRight, ...served].map(({ cert }) => read(cert)),
    anchors,
  )
  expect(path).toHaveLength(10)
})

test('only the first sixteen served are looked at', async () => {
  const pki = await makePki('Root')
  const middle = await pki.intermediate({ commonName: 'Middle' })
  const leaf = await pki.issue({ ca: middle, names: ['leaf'] })
  const junk = read((await makePki('Junk')).ca.cert)
  const anchors = trustAnchors([pki.ca.cert])
  const serve = (count: number): X509Certificate[] => [
    read(leaf.cert),
    ...Array.from({ length: count }, () => junk),
    read(middle.cert),
  ]
  expect([...verifiedPaths(serve(14), anchors)]).toHaveLength(1)
  expect([...verifiedPaths(serve(15), anchors)]).toHaveLength(0)
})
