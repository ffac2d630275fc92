// The certificates of one run: a broker's, and two that a proxy must refuse.
import { execFile } from 'node:child_process'
import { X509Certificate, createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** The name every proxy is told to ask for and to check. */
export const BROKER_NAME = 'broker.bench.example'

/** PEM files. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

export interface Pki {
  /** The one authority the proxies trust. */
  readonly ca: string
  readonly broker: KeyPair
  /** Signed by the trusted authority for another host. */
  readonly wrongName: KeyPair
  /** For the right host, signed by an authority nobody trusts. */
  readonly wrongAuthority: KeyPair
  /** The broker's public key as a pin: "sha256/" and base64. */
  readonly pin: string
}

const run = promisify(execFile)

/** Mints everything into `folder`, which must be private to the user. All keys are ECDSA on P-256. */
export async function mintPki(folder: string): Promise<Pki> {
  const [authority, stranger] = [pairIn(folder, 'ca'), pairIn(folder, 'stranger-ca')]
  await Promise.all([mint(authority, 'bench CA', []), mint(stranger, 'stranger CA', [])])
  const broker = await mintLeaf(pairIn(folder, 'broker'), BROKER_NAME, authority)
  const wrongName = await mintLeaf(pairIn(folder, 'wrong-name'), 'other.bench.example', authority)
  const wrongAuthority = await mintLeaf(pairIn(folder, 'wrong-authority'), BROKER_NAME, stranger)
  return { ca: authority.cert, broker, wrongName, wrongAuthority, pin: pinOf(broker.cert) }
}

async function mintLeaf(pair: KeyPair, name: string, issuer: KeyPair): Promise<KeyPair> {
  const extensions = [`subjectAltName=DNS:${name}`, 'basicConstraints=critical,CA:FALSE']
  await mint(pair, name, [
    '-CA',
    issuer.cert,
    '-CAkey',
    issuer.key,
    ...extensions.flatMap((one) => ['-addext', one]),
  ])
  return pair
}

async function mint(pair: KeyPair, commonName: string, more: readonly string[]): Promise<void> {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', pair.key]
  await run('openssl', [
    'req',
    '-x509',
    ...key,
    '-out',
    pair.cert,
    '-days',
    '2',
    '-subj',
    `/CN=${commonName}`,
    ...more,
  ])
}

function pairIn(folder: string, name: string): KeyPair {
  return { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) }
}

function pinOf(cert: string): string {
  const spki = new X509Certificate(readFileSync(cert)).publicKey.export({ type: 'spki', format: 'der' })
  return `sha256/${createHash('sha256').update(spki).digest('base64')}`
}
