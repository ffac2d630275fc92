// TLS contexts of both legs: what devices are shown and allowed, and what a broker is offered and checked against.
import { constants, createPrivateKey } from 'node:crypto'
import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { createSecureContext } from 'node:tls'
import type { ConnectionOptions, SecureContext, SecureContextOptions } from 'node:tls'
import { messageOf, PulsewardError } from '../errors.ts'
import { readCertificates, trustAnchors } from './anchors.ts'
import type { TrustAnchors } from './anchors.ts'
import { offeredGroups, SERVED_GROUPS } from './groups.ts'
import type { PostQuantum } from './groups.ts'
import type { WeakCertificates } from './limits.ts'

export interface DeviceTls {
  /** PEM chains, leaf first: one a key type, so that a device gets the type it understands. */
  readonly cert: readonly string[]
  /** The PEM private key of each chain, in the same order. */
  readonly key: readonly string[]
  readonly minVersion: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  /** Whether the client's order of ciphers counts, as a near end has its reasons for its own; ours unless given. */
  readonly clientChooses?: boolean
}

export interface DeviceContext {
  readonly context: SecureContext
  /** The leaves shown, in the order given. */
  readonly leaves: readonly X509Certificate[]
}

export interface BrokerTls {
  /** PEM texts of the CAs a broker's chain may end in, or the machine's. */
  readonly ca: readonly string[] | 'system'
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  readonly postQuantum: PostQuantum
  /** `refuse` where it is absent. */
  readonly weakCertificates?: WeakCertificates
  /** PEM texts, chain leaf first. */
  readonly clientCertificate?: { readonly cert: string; readonly key: string }
  /** Whether a broker is asked for an OCSP response; not unless it is true. */
  readonly staple?: boolean
}

export interface BrokerContext {
  readonly context: SecureContext
  readonly anchors: TrustAnchors
  readonly clientCertificate: X509Certificate | undefined
  readonly staple: boolean
}

/** Forward secrecy and authenticated encryption only. */
const MODERN = 'ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK'
/** AES-256 first: its key keeps a margin against a quantum computer, and costs nothing measurable here. */
const BROKERS = `TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:${MODERN}`
/** OpenSSL takes SHA-1 in a chain at level 0 only, where it would take it in the handshake too: that stays strong. */
const WEAK_BROKERS = {
  ciphers: `${BROKERS}:@SECLEVEL=0`,
  sigalgs:
    'ed25519:ed448:ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512',
}
/** AES-128 first, for slow processors. TLS 1.2 of before 2014 often has CBC only; its secrets still stay forward. */
const DEVICES = `TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:${MODERN}:ECDHE+AES`
/** TLS 1.0 and 1.1 sign with SHA-1, forbidden above level 0; devices that old may know RSA key exchange only. */
const LEGACY_DEVICES = `${DEVICES}:DHE+AES:RSA+AES:@SECLEVEL=0`

/**
 * The context of the device leg. TLS 1.0 and 1.1, and the weak algorithms they need, exist only in a context whose
 * `minVersion` asks for them. Session tickets are on: a device with a slow processor resumes for a tenth of the work.
 *
 * @throws {PulsewardError} `certificate-invalid`, blame `config`.
 */
export function deviceContext({ cert, key, minVersion, clientChooses = false }: DeviceTls): DeviceContext {
  const leaves = cert.map((chain, at) => checkPair({ cert: chain, key: key[at] ?? '' }))
  const legacy = minVersion === 'TLSv1' || minVersion === 'TLSv1.1'
  const context = build('the certificate shown to devices', {
    cert: [...cert],
    key: [...key],
    minVersion,
    ciphers: legacy ? LEGACY_DEVICES : DEVICES,
    ...(legacy ? { dhparam: 'auto' } : {}),
    ecdhCurve: SERVED_GROUPS,
    honorCipherOrder: !clientChooses,
    sessionIdContext: 'pulseward-devices',
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION, // a cheap way to wear out a server (CVE-2011-1473)
  })
  return { context, leaves }
}

/**
 * The context of the broker leg; made once and shared by every connection to the brokers of an upstream.
 *
 * @throws {PulsewardError} `ca-invalid` or `certificate-invalid`, blame `config`.
 */
export function brokerContext({
  ca,
  minVersion,
  postQuantum,
  weakCertificates = 'refuse',
  clientCertificate,
  staple = false,
}: BrokerTls): BrokerContext {
  const anchors = trustAnchors(ca)
  const own = clientCertificate === undefined ? undefined : checkPair(clientCertificate)
  const context = build('the client certificate', {
    ca: [...anchors.pem],
    minVersion,
    ...(weakCertificates === 'accept' ? WEAK_BROKERS : { ciphers: BROKERS }),
    ecdhCurve: offeredGroups(postQuantum),
    // In TLS 1.2 a renegotiation could bring another certificate after the verdict.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ...clientCertificate,
  })
  return { context, anchors, clientCertificate: own, staple }
}

/**
 * What `tls.connect` needs to reach a broker under `name`. The handshake is let through whatever it shows, so that
 * `judge` sees all of it: nothing may be written before the verdict, and the socket has to be destroyed unless it is
 * `trusted`. `protocols` are offered as application protocols (ALPN); none are by default.
 */
export function brokerOptions(
  { context, staple }: BrokerContext,
  name: string,
  protocols: readonly string[] = [],
): ConnectionOptions {
  return {
    ...(protocols.length > 0 && { ALPNProtocols: [...protocols] }),
    secureContext: context,
    // RFC 6066, 3: addresses are not names, and OpenSSL would send them all the same.
    servername: isIP(name) === 0 ? name : '',
    rejectUnauthorized: false,
    requestOCSP: staple,
    checkServerIdentity: () => undefined,
  }
}

function checkPair({ cert, key }: { readonly cert: string; readonly key: string }): X509Certificate {
  const [leaf] = readCertificates(cert)
  const privateKey = readKey(key)
  if (leaf?.checkPrivateKey(privateKey) === true) return leaf
  throw new PulsewardError(
    'certificate-invalid',
    'config',
    'the private key does not belong to the certificate',
    {
      hint: 'the certificate file must begin with the certificate of this key; CA certificates follow it',
    },
  )
}

function readKey(pem: string): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey(pem)
  } catch {
    const encrypted = /ENCRYPTED/.test(pem)
    // The cause may quote key material, so it stays here.
    throw new PulsewardError(
      'certificate-invalid',
      'config',
      `the private key is not readable${encrypted ? ': it is encrypted' : ''}`,
      {
        hint: encrypted
          ? 'store the key unencrypted, readable by the proxy alone'
          : 'a PEM private key is expected, such as "-----BEGIN PRIVATE KEY-----"',
      },
    )
  }
}

function build(what: string, options: SecureContextOptions): SecureContext {
  try {
    return createSecureContext(options)
  } catch (error) {
    throw new PulsewardError(
      'certificate-invalid',
      'config',
      `OpenSSL refuses ${what}: ${messageOf(error)}`,
      {
        hint: 'keys under 2048 bits (RSA) and SHA-1 signatures are refused: have the certificate issued anew',
        cause: error,
      },
    )
  }
}
