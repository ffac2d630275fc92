// The mint: certificates of the local authority, their structure by node-forge, their keys and signatures by node:crypto.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import forge from 'node-forge'
import { certificateName } from './names.ts'

const { asn1 } = forge
const { Class, Type, create } = asn1
type Asn1 = forge.asn1.Asn1

// node-forge cannot read EC keys and multiplies private exponents in plain JavaScript, so no private key enters it:
// keys are made, kept and used by OpenSSL; forge writes the ASN.1 around them.

/** A certificate and its private key, both PEM (the key PKCS #8). */
export interface Identity {
  readonly cert: string
  readonly key: string
}

export type KeyKind = 'rsa' | 'ec'

export interface MintRequest {
  readonly commonName: string
  /** Host names and IP addresses; required of a leaf, absent from an authority. */
  readonly names: readonly string[]
  /** The kind of key to make, or the PEM of one to certify again. */
  readonly key: KeyKind | { readonly keep: string }
  /** Milliseconds since the epoch. */
  readonly notBefore: number
  readonly notAfter: number
  /** Who signs; itself where absent. */
  readonly issuer?: Identity
  /** What a leaf may do; `server` where absent. */
  readonly purpose?: 'server' | 'client'
  /** Makes an authority, over so many further authorities. */
  readonly authority?: { readonly pathLength: number }
}

const OID = {
  organization: '2.5.4.10',
  commonName: '2.5.4.3',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  subjectKeyId: '2.5.29.14',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  alternativeNames: '2.5.29.17',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  rsaSha256: '1.2.840.113549.1.1.11',
  ecdsaSha256: '1.2.840.10045.4.3.2',
} as const

/** TBSCertificate.extensions is [3]; forge types every tag number as a universal type. */
const EXTENSIONS_TAG: number = 3

const makeKeyPair = promisify(generateKeyPair)
const TRUE = create(Class.UNIVERSAL, Type.BOOLEAN, false, '\xff')

/**
 * Makes a key pair and an X.509 v3 certificate for it (RFC 5280), signed with SHA-256.
 *
 * @throws {PulsewardError} `name-invalid` for a name no certificate can carry.
 */
export async function mint(request: MintRequest): Promise<Identity> {
  const pair = await keyPair(request.key)
  const signer = request.issuer === undefined ? pair.privateKey : createPrivateKey(request.issuer.key)
  const body = certificateBody(request, pair.publicKey, signer)
  const signature = sign('sha256', bytesOf(body), signer)
  const der = bytesOf(
    sequence(
      body,
      signatureAlgorithm(signer),
      primitive(Type.BITSTRING, `\0${signature.toString('latin1')}`),
    ),
  )
  return {
    cert: check(der, pair.publicKey, signer),
    key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }),
  }
}

async function keyPair(key: MintRequest['key']): Promise<{ publicKey: KeyObject; privateKey: KeyObject }> {
  if (key === 'rsa') return await makeKeyPair('rsa', { modulusLength: 2048 })
  if (key === 'ec') return await makeKeyPair('ec', { namedCurve: 'prime256v1' })
  return { publicKey: createPublicKey(key.keep), privateKey: createPrivateKey(key.keep) }
}

/** Nothing leaves the mint that OpenSSL reads differently. */
function check(der: Buffer, publicKey: KeyObject, signer: KeyObject): string {
  const certificate = new X509Certificate(der)
  if (!certificate.publicKey.equals(publicKey) || !certificate.verify(createPublicKey(signer))) {
    throw new Error('a freshly minted certificate does not verify')
  }
  return certificate.toString()
}

function certificateBody(request: MintRequest, publicKey: KeyObject, signer: KeyObject): Asn1 {
  const spki = read(publicKey.export({ type: 'spki', format: 'der' }))
  const subject = distinguishedName(request.commonName)
  const issuer =
    request.issuer === undefined ? undefined : readIssuer(new X509Certificate(request.issuer.cert).raw)
  return sequence(
    tagged(0, primitive(Type.INTEGER, '\x02')),
    primitive(Type.INTEGER, serialNumber()),
    signatureAlgorithm(signer),
    issuer?.subject ?? subject,
    sequence(time(request.notBefore), time(request.notAfter)),
    subject,
    spki,
    tagged(
      3,
      sequence(...extensions(request, publicKey, issuer === undefined ? keyId(publicKey) : issuer.keyId)),
    ),
  )
}

function extensions(request: MintRequest, publicKey: KeyObject, issuerKeyId: string | undefined): Asn1[] {
  const authority = request.authority
  const list = [
    extension(
      OID.basicConstraints,
      true,
      authority === undefined
        ? sequence()
        : sequence(TRUE, primitive(Type.INTEGER, String.fromCharCode(authority.pathLength))),
    ),
    extension(OID.keyUsage, true, keyUsage(authority !== undefined, publicKey)),
    extension(OID.subjectKeyId, false, primitive(Type.OCTETSTRING, keyId(publicKey))),
  ]
  if (issuerKeyId !== undefined)
    list.push(extension(OID.authorityKeyId, false, sequence(context(0, issuerKeyId))))
  if (authority === undefined)
    list.push(
      extension(
        OID.extendedKeyUsage,
        false,
        sequence(oid(request.purpose === 'client' ? OID.clientAuth : OID.serverAuth)),
      ),
    )
  if (request.names.length > 0)
    list.push(extension(OID.alternativeNames, false, alternativeNames(request.names)))
  return list
}

/** RFC 5280, 4.2.1.3: authorities sign certificates and CRLs; only an RSA leaf can be asked to decipher a secret. */
function keyUsage(authority: boolean, publicKey: KeyObject): Asn1 {
  if (authority) return primitive(Type.BITSTRING, '\x01\x06')
  return primitive(Type.BITSTRING, publicKey.asymmetricKeyType === 'rsa' ? '\x05\xa0' : '\x07\x80')
}

function alternativeNames(names: readonly string[]): Asn1 {
  return sequence(
    ...names
      .map(certificateName)
      .map(({ kind, bytes }) => context(kind === 'dns' ? 2 : 7, bytes.toString('latin1'))),
  )
}

interface Issuer {
  readonly subject: Asn1
  readonly keyId: string | undefined
}

/** The subject in its own encoding, so that issuer names match byte for byte, and the key identifier if it has one. */
function readIssuer(der: Buffer): Issuer {
  const fields = members(members(read(der))[0])
  // serial, signature, issuer, validity, subject; the version before them is tagged, and absent from v1.
  const subject = fields.filter((field) => field.tagClass === Class.UNIVERSAL)[4]
  if (subject === undefined) throw new Error('the authority certificate has no subject')
  const list = fields.find(
    (field) => field.tagClass === Class.CONTEXT_SPECIFIC && field.type === EXTENSIONS_TAG,
  )
  const wanted = asn1.oidToDer(OID.subjectKeyId).getBytes()
  const found = members(members(list)[0]).find((entry) => members(entry)[0]?.value === wanted)
  return { subject, keyId: found === undefined ? undefined : unwrap(members(found).at(-1)) }
}

/** The contents of the OCTET STRING inside an extension's OCTET STRING, which forge may or may not have opened. */
function unwrap(value: Asn1 | undefined): string | undefined {
  const inner = typeof value?.value === 'string' ? asn1.fromDer(value.value) : members(value)[0]
  return typeof inner?.value === 'string' ? inner.value : undefined
}

function signatureAlgorithm(signer: KeyObject): Asn1 {
  // RFC 4055, 5: RSA carries an explicit NULL; RFC 5758, 3.2: ECDSA carries no parameters at all.
  return signer.asymmetricKeyType === 'rsa'
    ? sequence(oid(OID.rsaSha256), primitive(Type.NULL, ''))
    : sequence(oid(OID.ecdsaSha256))
}

/** An identifier of the key (RFC 5280, 4.2.1.2): the first 160 bits of the SHA-256 of its SPKI, as RFC 7093, 2 (4) has it. */
function keyId(publicKey: KeyObject): string {
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(spki).digest().subarray(0, 20).toString('latin1')
}

/** Positive, 127 bits of chance, never a leading zero octet (RFC 5280, 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('latin1')
}

/** RFC 5280, 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050. */
function time(moment: number): Asn1 {
  const text = new Date(moment).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return text < '2050' ? primitive(Type.UTCTIME, text.slice(2)) : primitive(Type.GENERALIZEDTIME, text)
}

function distinguishedName(commonName: string): Asn1 {
  const attribute = (type: string, value: string): Asn1 =>
    create(Class.UNIVERSAL, Type.SET, true, [
      sequence(oid(type), primitive(Type.UTF8, Buffer.from(value).toString('latin1'))),
    ])
  return sequence(attribute(OID.organization, 'Pulseward'), attribute(OID.commonName, commonName))
}

function extension(type: string, critical: boolean, value: Asn1): Asn1 {
  const content = primitive(Type.OCTETSTRING, asn1.toDer(value).getBytes())
  return critical ? sequence(oid(type), TRUE, content) : sequence(oid(type), content)
}

function sequence(...values: Asn1[]): Asn1 {
  return create(Class.UNIVERSAL, Type.SEQUENCE, true, values)
}

function tagged(tag: number, member: Asn1): Asn1 {
  return create(Class.CONTEXT_SPECIFIC, tag, true, [member])
}

function context(tag: number, content: string): Asn1 {
  return create(Class.CONTEXT_SPECIFIC, tag, false, content)
}

function primitive(type: forge.asn1.Type, content: string): Asn1 {
  return create(Class.UNIVERSAL, type, false, content)
}

function oid(dotted: string): Asn1 {
  return primitive(Type.OID, asn1.oidToDer(dotted).getBytes())
}

function read(der: Buffer): Asn1 {
  return asn1.fromDer(der.toString('latin1'))
}

function bytesOf(value: Asn1): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), 'latin1')
}

function members(value: Asn1 | undefined): readonly Asn1[] {
  return typeof value?.value === 'object' ? value.value : []
}
