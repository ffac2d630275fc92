// What `pulseward check` says of the revocation lists in files: by whom, how many they name, until when they count.
import { isUrl } from '../config/endpoint.ts'
import { readBounded } from '../config/files.ts'
import type { Config, UpstreamConfig } from '../config/schema.ts'
import { trustAnchors } from '../tls/anchors.ts'
import { LARGEST_LISTS, readCrls } from '../tls/crl.ts'
import type { Crl } from '../tls/crl.ts'
import { isNamed } from '../tls/crl-source.ts'
import { issuerLine } from '../tls/crl-succession.ts'
import { factsOf } from '../tls/extensions.ts'
import { isSignedBy } from '../tls/signature.ts'

export interface ListReport {
  readonly upstream: string
  /** Absolute. */
  readonly file: string
  readonly issuer: string
  /** Decimal; absent where it has none. */
  readonly number?: string
  readonly revoked: number
  /** ISO 8601. */
  readonly nextUpdate: string
  /** Whether a CA of `tls.ca` signed it, has its name only, or is another. */
  readonly signer: 'known' | 'forged' | 'unknown'
}

/** Lists of URLs are none of the files, and only a running proxy or `--live` has them. */
export function reportLists({ upstreams }: Config): ListReport[] {
  return Object.entries(upstreams).flatMap(([name, { tls }]) => {
    const files = tls.revocation.crl.filter((place) => !isUrl(place))
    if (files.length === 0) return []
    const authorities = authoritiesOf(tls)
    return files.flatMap((file) =>
      readCrls(readBounded(file, LARGEST_LISTS)).map((crl) => ({
        upstream: name,
        file,
        issuer: issuerLine(crl),
        ...(crl.number !== undefined && { number: String(crl.number) }),
        revoked: crl.serials.size,
        nextUpdate: new Date(crl.nextUpdate).toISOString(),
        signer: signerOf(crl, authorities, tls.weakCertificates),
      })),
    )
  })
}

export function listLine({
  upstream,
  file,
  issuer,
  number,
  revoked,
  nextUpdate,
  signer,
}: ListReport): string {
  const counted = number === undefined ? '' : `, number ${number}`
  return `${upstream}: ${file}: list of ${issuer}${counted}, ${revoked} revoked, until ${nextUpdate}${DOUBTS[signer]}`
}

const DOUBTS = {
  known: '',
  forged: '; NOT signed by the CA of that name in tls.ca: it counts for nothing',
  unknown: '; no CA of tls.ca signed it: it counts only if the broker shows the CA that did',
} as const

function authoritiesOf({ ca }: UpstreamConfig['tls']) {
  const { bySubject } = trustAnchors(
    ca === 'system' ? ca : ca.map((file) => readBounded(file).toString('latin1')),
  )
  return [...bySubject.values()].flat()
}

function signerOf(
  crl: Crl,
  authorities: ReturnType<typeof authoritiesOf>,
  weak: UpstreamConfig['tls']['weakCertificates'],
): ListReport['signer'] {
  const named = authorities.filter((candidate) => {
    const facts = factsOf(candidate)
    return facts !== undefined && isNamed(crl, facts)
  })
  if (named.length === 0) return 'unknown'
  return named.some((candidate) => isSignedBy(crl.signed, candidate.publicKey, weak)) ? 'known' : 'forged'
}
