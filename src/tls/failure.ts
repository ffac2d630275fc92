// Why a broker could not be reached or the handshake did not end: node's and OpenSSL's codes as a bounded set of reasons.
import { COPIED } from './classify.ts'
import type { VerdictKind } from './verdict.ts'

/** Bounded, fit for a metric label. */
export const FAILURES = [
  'refused',
  'timeout',
  'reset',
  'closed',
  'dns',
  'unreachable',
  'blocked',
  'emfile',
  'downgraded',
  'group-refused',
  'not-tls',
  'copied-certificate',
  'tampered',
  'no-protocol',
  'pair-missing',
  'pair-closed',
  'oversized',
  'client-certificate',
  'tls-alert',
  'tls-error',
  'cancelled',
  'other',
] as const

type FailureReason = (typeof FAILURES)[number]

export interface Failure {
  readonly reason: FailureReason
  /** What an administrator does next. */
  readonly hint: string
  /** Where a failure says more than that nobody is there. */
  readonly suspicion?: Suspicion
}

/** What a broker most likely is that answered and did not get as far as a verdict. */
export interface Suspicion {
  readonly verdict: Exclude<VerdictKind, 'trusted'>
  /** What gave it away. */
  readonly says: string
}

/** What was asked of the broker, where a failure may be its answer to that. */
export interface FailureContext {
  readonly postQuantum?: 'prefer' | 'require' | 'off'
  /** Whether it was to prove itself as the far end of a pair. */
  readonly paired?: boolean
}

/**
 * The reason and the hint for an error raised while dialling a broker or shaking hands with it. Never throws; what is
 * not known becomes `other`.
 */
export function explainFailure(error: unknown, context: FailureContext = {}): Failure {
  const reason = classify(error, context)
  const suspicion = SUSPICIONS.get(reason)
  return { reason, hint: HINTS[reason], ...(suspicion && { suspicion }) }
}

/** Several addresses may have been tried: node then joins the errors of all of them, and the first known one counts. */
function classify(error: unknown, context: FailureContext): FailureReason {
  const tries = error instanceof AggregateError ? [error, ...error.errors.slice(0, 16)] : [error]
  const reasons = tries.map((attempt) => classifyOne(attempt, context))
  return reasons.find((reason) => reason !== 'other') ?? 'other'
}

function classifyOne(error: unknown, context: FailureContext): FailureReason {
  const code = textOf(error, 'code') ?? ''
  // A FIN in mid-handshake is an ECONNRESET too, made up by node without any system call having failed.
  if (code === 'ECONNRESET' && textOf(error, 'syscall') === undefined) return 'closed'
  if (code.startsWith('EAI_')) return 'dns'
  if (code.startsWith('ERR_SSL_')) return classifyTls(code.slice('ERR_SSL_'.length), context)
  return CODES.get(code) ?? 'other'
}

function textOf(thing: unknown, key: string): string | undefined {
  const value: unknown = typeof thing === 'object' && thing !== null ? Reflect.get(thing, key) : undefined
  return typeof value === 'string' ? value : undefined
}

/** `name` is OpenSSL's reason; an alert is `TLSV1_ALERT_…`, `SSL/TLS_ALERT_…` or plain `TLSV1_…`. */
function classifyTls(name: string, { postQuantum, paired = false }: FailureContext): FailureReason {
  const alert = /^(?:TLSV1|TLSV13|SSLV3|SSL\/TLS)_(?:ALERT_)?(.*)$/.exec(name)?.[1]
  if (alert === undefined) return TLS_ERRORS.get(name) ?? 'tls-error'
  if (alert === 'HANDSHAKE_FAILURE' && postQuantum === 'require') return 'group-refused'
  if (alert === 'NO_APPLICATION_PROTOCOL' && paired) return 'pair-missing'
  return ALERTS.get(alert) ?? 'tls-alert'
}

const CODES = new Map<string, FailureReason>([
  ['ECONNREFUSED', 'refused'],
  ['ETIMEDOUT', 'timeout'],
  ['ESOCKETTIMEDOUT', 'timeout'],
  ['ERR_SOCKET_CONNECTION_TIMEOUT', 'timeout'],
  ['ERR_TLS_HANDSHAKE_TIMEOUT', 'timeout'],
  ['ECONNRESET', 'reset'],
  ['EPIPE', 'reset'],
  ['ECONNABORTED', 'reset'],
  ['ENOTFOUND', 'dns'],
  ['ENODATA', 'dns'],
  ['ESERVFAIL', 'dns'],
  ['EHOSTUNREACH', 'unreachable'],
  ['ENETUNREACH', 'unreachable'],
  ['EHOSTDOWN', 'unreachable'],
  ['ENETDOWN', 'unreachable'],
  ['EADDRNOTAVAIL', 'unreachable'],
  ['EACCES', 'blocked'],
  ['EPERM', 'blocked'],
  ['EMFILE', 'emfile'],
  ['ENFILE', 'emfile'],
  ['ENOBUFS', 'emfile'],
  ['ENOMEM', 'emfile'],
  ['ABORT_ERR', 'cancelled'],
  ['ECANCELED', 'cancelled'],
  ['PAIR_CLOSED', 'pair-closed'],
])

const ALERTS = new Map<string, FailureReason>([
  ['PROTOCOL_VERSION', 'downgraded'],
  ['INAPPROPRIATE_FALLBACK', 'downgraded'],
  ['INSUFFICIENT_SECURITY', 'downgraded'],
  // It could not verify our Finished or the binder of a ticket, or read what we sent: it heard something else.
  ['DECRYPT_ERROR', 'tampered'],
  ['BAD_RECORD_MAC', 'tampered'],
  ['NO_APPLICATION_PROTOCOL', 'no-protocol'],
  // The broker judged a certificate, and the only one it can have judged is ours.
  ['NO_CERTIFICATE', 'client-certificate'],
  ['CERTIFICATE_REQUIRED', 'client-certificate'],
  ['BAD_CERTIFICATE', 'client-certificate'],
  ['UNSUPPORTED_CERTIFICATE', 'client-certificate'],
  ['CERTIFICATE_REVOKED', 'client-certificate'],
  ['CERTIFICATE_EXPIRED', 'client-certificate'],
  ['CERTIFICATE_UNKNOWN', 'client-certificate'],
  ['UNKNOWN_CA', 'client-certificate'],
  ['ACCESS_DENIED', 'client-certificate'],
])

const TLS_ERRORS = new Map<string, FailureReason>([
  ['UNSUPPORTED_PROTOCOL', 'downgraded'],
  ['WRONG_SSL_VERSION', 'downgraded'],
  ['VERSION_TOO_LOW', 'downgraded'],
  ['INAPPROPRIATE_FALLBACK', 'downgraded'],
  ['WRONG_VERSION_NUMBER', 'not-tls'],
  ['PACKET_LENGTH_TOO_LONG', 'not-tls'],
  ['UNKNOWN_PROTOCOL', 'not-tls'],
  ['HTTP_REQUEST', 'not-tls'],
  ['EXCESSIVE_MESSAGE_SIZE', 'oversized'],
  ['DECRYPTION_FAILED_OR_BAD_RECORD_MAC', 'tampered'],
  ['DIGEST_CHECK_FAILED', 'tampered'],
  // A signature that does not verify: what OpenSSL says first depends on the kind of key and on its own version.
  ['BAD_SIGNATURE', 'copied-certificate'],
  ['PROVIDER_SIGNATURE_FAILURE', 'copied-certificate'],
  ['FIRST_OCTET_INVALID', 'copied-certificate'],
  ['LAST_OCTET_INVALID', 'copied-certificate'],
  ['SALT_LENGTH_RECOVERY_FAILED', 'copied-certificate'],
  ['INVALID_PADDING', 'copied-certificate'],
  ['BLOCK_TYPE_IS_NOT_01', 'copied-certificate'],
  ['DATA_TOO_LARGE_FOR_MODULUS', 'copied-certificate'],
])

const SUSPICIONS: ReadonlyMap<FailureReason, Suspicion> = new Map([
  [
    'downgraded',
    {
      verdict: 'downgraded',
      says: 'it answered in an older TLS than is allowed, by itself or because somebody changed the question',
    },
  ],
  [
    'group-refused',
    { verdict: 'downgraded', says: 'it takes none of the key exchange groups it was offered' },
  ],
  ['not-tls', { verdict: 'downgraded', says: 'it answered a TLS handshake with something that is not TLS' }],
  ['pair-missing', { verdict: 'downgraded', says: 'it refuses to prove that it is the far end of the pair' }],
  [
    'copied-certificate',
    { verdict: 'likely-mitm', says: 'it showed a certificate and could not sign with the key of it' },
  ],
  [
    'tampered',
    { verdict: 'likely-mitm', says: 'what one end said in the handshake is not what the other end heard' },
  ],
])

const HINTS: Readonly<Record<FailureReason, string>> = {
  refused: 'nothing listens there: check host and port, and that the broker runs',
  timeout:
    'no answer in time: check the route and the firewalls between here and the broker, or raise its timeouts',
  reset: 'the connection was reset: look into the log of the broker, or of a firewall on the way',
  closed:
    'the broker hung up in the middle of the handshake, as a plaintext MQTT port does: check the port, then look into its log',
  dns: 'the name does not resolve: check its spelling and the DNS server of this machine',
  unreachable: 'there is no route to the broker: check addresses, routes and whether the network is up',
  blocked: 'this machine itself forbids the connection: check its firewall and the permissions of the proxy',
  emfile: 'this machine is out of file descriptors, buffers or memory: raise LimitNOFILE or ulimit -n',
  downgraded:
    'the broker does not speak the TLS version asked for: bring it to TLS 1.3, or allow less with tls.minVersion',
  'group-refused':
    'the broker most likely lacks post-quantum key exchange: bring it to OpenSSL 3.5, or set tls.postQuantum to prefer',
  'not-tls': "what answers does not speak TLS: check that the port is the broker's TLS port, often 8883",
  'copied-certificate': COPIED,
  tampered:
    'the two ends do not agree on what was said: look for what changes bytes between here and the broker, such as a firewall that inspects TLS',
  'no-protocol':
    'what answers wants an application protocol (ALPN) that was not offered: if a far end of paired mode answers there, give this upstream the option pair',
  'pair-missing':
    'what answers refuses to prove itself: give the listener of the far end the option pair; if it has it, somebody else is answering in its place',
  'pair-closed':
    'the other end took our proof and hung up: it may be stopping, or not know our key; its log says which, and names somebody in between if it saw one',
  oversized:
    'the broker sent a chain, or another message of the handshake, larger than any needs to be (100 KiB): have it serve its own certificate and the intermediates only; if it does, something else is answering',
  'client-certificate':
    'the broker wants another client certificate than it was shown: check tls.clientCertificate and the CA the broker trusts',
  'tls-alert':
    'the broker ended the handshake with an alert; often it wants a client certificate (tls.clientCertificate) or has no cipher in common: look into its log',
  'tls-error': 'the broker broke the TLS protocol, or something on the way changed its bytes',
  cancelled: 'the connection was given up from this side',
  other: 'look at the error itself',
}
