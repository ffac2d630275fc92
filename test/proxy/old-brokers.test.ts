// A broker with an old certificate: refused by name, and let through only where proxy.yaml says so.

import { expect, test } from 'vitest'
import { makeCa, makeKey, makeLeaf } from '../help/certificates.ts'
import { makePki } from '../help/pki.ts'
import { Premises } from '../help/premises.ts'
import { eventually } from '../help/wait.ts'
import { startTls } from '../tls/broker.ts'

test.each([
  ['weak-signature', { hash: 'sha1' }],
  ['weak-key', { key: makeKey.rsa(1024) }],
] as const)('%s', async (cause, wanted) => {
  const root = makeCa('Old CA')
  const { cert, key } = makeLeaf(root, { names: ['127.0.0.1'], ...wanted })
  await using broker = await startTls({ cert, key, ciphers: 'DEFAULT:@SECLEVEL=0' })
  const pki = await makePki()
  {
    await using premises = await Premises.prepare(pki, { 'ca.pem': root.cert })
    await premises.write({ brokers: [broker.port] })
    await premises.start()
    const line = await eventually('a verdict', () =>
      premises.diary.all.find(({ msg }) => msg === 'broker not trusted; nothing was sent to it'),
    )
    expect(line).toMatchObject({
      verdict: cause,
      causes: [cause],
      hint: expect.stringContaining('weakCertificates'),
    })
    const labels = { upstream: 'hospital', verdict: cause, cause }
    expect(await premises.metric('upstream_verify_failures_total', labels)).toBeGreaterThan(0)
    expect(await premises.readiness()).toBe(503)
  }
  await using premises = await Premises.prepare(pki, { 'ca.pem': root.cert })
  await premises.write({ brokers: [broker.port], tls: { weakCertificates: 'accept' } })
  await premises.start()
  await eventually('readiness', async () => (await premises.readiness()) === 200)
  expect(broker.received).toEqual([])
})
