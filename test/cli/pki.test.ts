import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { UsageError } from '../../src/cli/io.ts'
import { pki, pkiHelp } from '../../src/cli/pki.ts'
import { openAuthority } from '../../src/tls/authority.ts'
import { pinOf } from '../../src/tls/pins.ts'
import { Folder } from '../help/folder.ts'

async function run(cwd: string, ...args: readonly string[]) {
  const printed = { out: '', err: '' }
  const status = await pki([...args], {
    stdout: (text) => void (printed.out += text),
    stderr: (text) => void (printed.err += text),
    env: {},
    cwd,
  })
  return { status, ...printed }
}

test('ca prints the certificate that listeners’ leaves are signed by', async () => {
  await using folder = await Folder.make()
  const { status, out, err } = await run(folder.path, 'ca', '--state', 'state')
  expect([status, err]).toEqual([0, ''])
  const authority = await openAuthority(folder.at('state'), Date.now)
  expect(new X509Certificate(out).fingerprint256).toBe(authority.certificate.fingerprint256)
  const { ec } = await authority.leaves(['a.example'])
  expect(new X509Certificate(ec.cert).verify(new X509Certificate(out).publicKey)).toBe(true)
})

test('show tells name, validity, fingerprint and pin, as text and as JSON', async () => {
  await using folder = await Folder.make()
  const { certificate } = await openAuthority(folder.at('state'), Date.now)
  const { out } = await run(folder.path, 'show', '--state', 'state')
  for (const shown of [
    certificate.fingerprint256,
    pinOf(certificate),
    certificate.validToDate.toISOString(),
  ]) {
    expect(out).toContain(shown)
  }
  const json = await run(folder.path, 'show', '--state', 'state', '--json')
  expect(JSON.parse(json.out)).toEqual({
    subject: certificate.subject.replaceAll('\n', ', '),
    notBefore: certificate.validFromDate.toISOString(),
    notAfter: certificate.validToDate.toISOString(),
    fingerprint: certificate.fingerprint256,
    pin: pinOf(certificate),
  })
})

test('the state is the one the configuration names', async () => {
  await using folder = await Folder.make({
    'proxy.yaml': 'listeners: [{ name: ward, bind: "127.0.0.1:1883", upstream: embedded }]\nstate: kept\n',
  })
  const { status, out } = await run(folder.path, 'ca')
  expect(status).toBe(0)
  expect(out).toBe(await readFile(folder.at('kept/pki/ca.pem'), 'utf8'))
  expect((await run(folder.path, 'ca', '-c', folder.at('proxy.yaml'))).out).toBe(out)
})

test('issue writes a certificate for the names and its private key, never over another', async () => {
  await using folder = await Folder.make()
  const args = ['issue', '--state', 'state', '--out', 'out', '--key', 'ec', '*.ward.example', '::1']
  const { status, out } = await run(folder.path, ...args)
  expect(status).toBe(0)
  const [certFile = '', keyFile = ''] = out.split('\n')
  expect(await readdir(folder.at('out'))).toEqual(['_.ward.example.key', '_.ward.example.pem'])
  const leaf = new X509Certificate(await readFile(certFile))
  expect(leaf.checkPrivateKey(createPrivateKey(await readFile(keyFile)))).toBe(true)
  expect(leaf.publicKey.asymmetricKeyType).toBe('ec')
  expect(leaf.checkHost('pump.ward.example', { subject: 'never' })).toBeDefined()
  expect(leaf.checkIP('::1')).toBe('::1')
  expect((await stat(keyFile)).mode & 0o777).toBe(0o600)

  await expect(run(folder.path, ...args)).rejects.toMatchObject({ code: 'file-unwritable' })
  expect(new X509Certificate(await readFile(certFile)).fingerprint256).toBe(leaf.fingerprint256)
})

test('a key is not left behind where the certificate cannot be written', async () => {
  await using folder = await Folder.make()
  await writeFile(folder.at('a.example.pem'), 'mine')
  const attempt = run(folder.path, 'issue', '--state', 'state', 'a.example')
  await expect(attempt).rejects.toMatchObject({ code: 'file-unwritable' })
  expect((await readdir(folder.path)).toSorted()).toEqual(['a.example.pem', 'state'])
  expect(await readFile(folder.at('a.example.pem'), 'utf8')).toBe('mine')
})

test('a name that cannot be certified makes no authority', async () => {
  await using folder = await Folder.make()
  const attempt = run(folder.path, 'issue', '--state', 'state', '../../etc/passwd')
  await expect(attempt).rejects.toMatchObject({ code: 'name-invalid' })
  expect(await readdir(folder.path)).toEqual([])
})

test('warnings go to standard error', async () => {
  await using folder = await Folder.make()
  await openAuthority(folder.at('state'), Date.now)
  await chmod(folder.at('state/pki/ca.key'), 0o640)
  const { status, out, err } = await run(folder.path, 'ca', '--state', 'state')
  expect(status).toBe(0)
  expect(out).toMatch(/^-----BEGIN CERTIFICATE-----/)
  expect(err).toMatch(/^pulseward: warning: .*mode 640/)
})

test.each([
  ['no command', []],
  ['an unknown command', ['revoke']],
  ['issue without a name', ['issue', '--state', 's']],
  ['show with a name', ['show', '--state', 's', 'a.example']],
  ['both configuration and state', ['show', '--state', 's', '-c', 'proxy.yaml']],
  ['an unknown kind of key', ['issue', '--state', 's', '--key', 'dsa', 'a.example']],
  ['an unknown option', ['show', '--force']],
])('%s is a usage error', async (_, args) => {
  await using folder = await Folder.make()
  await expect(run(folder.path, ...args)).rejects.toThrow(UsageError)
  expect(await readdir(folder.path)).toEqual([])
})

test('--help is complete', async () => {
  const { status, out } = await run('.', '--help')
  expect([status, out]).toEqual([0, pkiHelp])
  for (const word of ['show', 'ca', 'issue', '--config', '--state', '--out', '--key', '--json']) {
    expect(out).toContain(word)
  }
})
