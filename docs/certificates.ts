// The certificate cases as Markdown, made from those the tests play through; docs/certificates.md is what it returns.

import type { Case } from '../test/tls/cases.ts'

export function renderCertificates(cases: readonly Case[]): string {
  const rows = cases.map(({ what, verdict, causes }) => {
    const why = causes.map((cause) => `\`${cause}\``).join(', ')
    return `| ${[what.replaceAll('*', '\\*'), verdict === 'no-handshake' ? 'no handshake' : `\`${verdict}\``, why || '–'].join(' | ')} |`
  })
  return [introduction(cases.length), heading, ...rows, ''].join('\n')
}

const introduction = (count: number): string => `# What certificates are judged to be

<!-- Generated from test/tls/cases.ts and revocation-cases.ts by "npm run docs"; edit those files instead. -->

Each of these ${count} certificates is made and shown in a real handshake by \`npm test\`, and has to be judged as it says
here. OpenSSL judges the path it builds; Pulseward judges every path on which a pin could lie by the same limits (path
length, name constraints, key usage, critical extensions, hashes), and only where both agree is a broker trusted.

- "Old broker" is one with \`upstreams.NAME.tls.weakCertificates: accept\`: RSA from 1024 bits and SHA-1 pass there, MD5 and
  shorter keys never. \`pulseward check\` warns of it. The signature of a root on itself proves nothing and does not count.
- OpenSSL follows the first issuer a broker serves and does not turn back: of two cross-signed intermediates, the one
  that leads to a CA of \`tls.ca\` comes first.
- A certificate may limit itself: one with a key usage must have \`digitalSignature\`, one with an extended key usage
  \`serverAuth\`; "any purpose" is not enough.
- Where a certificate is out of date by a clock that says less than the day of this release, or more than a year after an
  otherwise perfect chain ended, a reason says that the clock of this machine may be wrong.
- "list" is a revocation list in force, "staple" the OCSP response that came with the handshake, asked for in every case;
  "unknown refused" is \`tls.revocation.unknown: refuse\`, "staple: required" is \`staple: require\`. A list or response that
  does not count is told, and refuses nobody unless one of these or the certificate itself (must-staple) demands it.
- A handshake with more than 100 KiB of certificates ends as \`oversized\`, one that takes longer than
  \`timeouts.handshake\` as \`timeout\`; of a chain, sixteen certificates are looked at.
`

const heading = ['| case | verdict | causes |', '| --- | --- | --- |'].join('\n')
