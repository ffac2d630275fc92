// Who may stand between proxy and broker, and what is said of each: played by the end-to-end tests, printed by docs.

/** What one attacker does, and what has to come of it. */
export interface Attacker {
  /** Ends the sentence "An attacker that …". */
  readonly does: string
  /** Of `pulseward_upstream_verify_failures_total`; `unreachable` where nothing says more than that TLS broke. */
  readonly verdict: 'likely-mitm' | 'downgraded' | 'unreachable'
  /** The worst first, which is the `cause` of the metric. */
  readonly causes: readonly string[]
  /** What else may be found wrong with one of many handshakes. */
  readonly also?: readonly string[]
  /** Part of a reason in the log; where nobody was reached, of the hint. */
  readonly says: RegExp
  /** No handshake ends, so there are no facts of it. */
  readonly unseen?: true
}

const foreign = { verdict: 'likely-mitm', causes: ['untrusted-chain', 'pin-mismatch'] } as const
const newKey = { verdict: 'likely-mitm', causes: ['pin-mismatch'] } as const

export const attackers = {
  mitmproxy: {
    does: 'runs mitmproxy (reverse proxy of TLS) with a CA of its own',
    ...foreign,
    says: /no path of signatures leads .* issued by "CN=mitmproxy, O=mitmproxy"/,
  },
  mitmproxyTrusted: {
    does: 'runs mitmproxy with a CA that `tls.ca` trusts, as an inspecting firewall does',
    ...newKey,
    says: /none of the 1 pinned keys is in its verified chain/,
  },
  stunnel: {
    does: "runs stunnel with a forged chain: every name the broker's, every key its own",
    ...foreign,
    says: /no path of signatures leads .* issued by "O=Pulseward, CN=Hospital CA"/,
  },
  otherName: {
    does: 'has a valid certificate of the same CA for another name',
    verdict: 'likely-mitm',
    causes: ['name-mismatch', 'pin-mismatch'],
    says: /is not for "127\.0\.0\.1" but for DNS:printer\.hospital\.example/,
  },
  otherCa: {
    does: "has a valid certificate for the broker's name from another CA that `tls.ca` trusts",
    ...newKey,
    says: /none of the 1 pinned keys is in its verified chain/,
  },
  noKey: {
    does: "shows the broker's own chain without having its key (EC)",
    verdict: 'likely-mitm',
    causes: ['copied-certificate'],
    says: /could not sign with the key of it/,
    unseen: true,
  },
  noRsaKey: {
    does: "shows the broker's own chain without having its key (RSA)",
    verdict: 'likely-mitm',
    causes: ['copied-certificate'],
    says: /could not sign with the key of it/,
    unseen: true,
  },
  appended: {
    does: "appends the broker's certificate to a chain of the same CA and name",
    verdict: 'likely-mitm',
    causes: ['copied-certificate'],
    says: /that did not sign its own/,
  },
  plainAnswer: {
    does: 'strips TLS: answers the ClientHello with a CONNACK in plaintext',
    verdict: 'downgraded',
    causes: ['not-tls'],
    says: /something that is not TLS/,
    unseen: true,
  },
  plainPort: {
    does: "leads to the broker's plaintext port, which hangs up on a ClientHello",
    verdict: 'unreachable',
    causes: ['reset'],
    also: ['closed'],
    says: /the connection was reset/,
    unseen: true,
  },
  oldVersion: {
    does: 'rewrites the ClientHello into one of TLS 1.2: the broker finds no cipher in it',
    verdict: 'unreachable',
    causes: ['tls-alert'],
    says: /ended the handshake with an alert/,
    unseen: true,
  },
  oldVersionAllowed: {
    does: 'does the same where `tls.minVersion: TLSv1.2` has ciphers for it',
    verdict: 'downgraded',
    causes: ['downgraded'],
    says: /it answered in an older TLS than is allowed/,
    unseen: true,
  },
  oldServer: {
    does: 'answers in TLS 1.2 by itself',
    verdict: 'downgraded',
    causes: ['downgraded'],
    says: /it answered in an older TLS than is allowed/,
    unseen: true,
  },
  oldGroup: {
    does: 'takes the post-quantum groups out of the ClientHello, with `tls.postQuantum: require`',
    verdict: 'downgraded',
    causes: ['group-refused'],
    // The binder of a ticket tells the broker first that the ClientHello is not ours.
    also: ['tampered'],
    says: /none of the key exchange groups/,
    unseen: true,
  },
  oldGroupAllowed: {
    does: 'does the same with `tls.postQuantum: prefer`: both sides go on, and no longer agree on what was said',
    verdict: 'likely-mitm',
    causes: ['tampered'],
    says: /is not what the other end heard/,
    unseen: true,
  },
  otherTicketKeys: {
    does: 'has certificate and ticket keys of another server of the same CA',
    verdict: 'likely-mitm',
    causes: ['name-mismatch', 'pin-mismatch'],
    says: /but for DNS:printer\.hospital\.example/,
  },
  sharedTicketKeys: {
    does: 'has the ticket keys that all servers of the upstream share, and answers for the second of them',
    ...foreign,
    says: /no path of signatures leads/,
  },
  sameTicketKeys: {
    does: "has the very ticket keys of the broker and not its key, with `tls.resumption: 'off'`",
    ...foreign,
    says: /no path of signatures leads/,
  },
} as const satisfies Readonly<Record<string, Attacker>>

export type AttackerName = keyof typeof attackers
