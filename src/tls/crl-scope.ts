// Which certificates a revocation list speaks of: all of its issuer's, or those its issuing distribution point leaves in.
import { elements, only, TAG } from './der.ts'
import type { Element } from './der.ts'
import type { CertificateFacts } from './extensions.ts'

/** A part of an issuer's certificates (RFC 5280, 5.2.5). */
export interface CrlScope {
  /** Where it is published, as its certificates name the place; undefined for all of them. */
  readonly places: readonly string[] | undefined
  readonly only: 'authorities' | 'others' | undefined
}

/** Undefined where it is indirect, of some reasons only, or of attribute certificates: such a list clears nobody here. */
export function readScope(value: Buffer): CrlScope | undefined {
  const fields = elements(only(value, TAG.sequence))
  const has = (tag: number): boolean => fields.some((field) => field.tag === tag && isSet(field))
  if (fields.some(({ tag }) => tag === 0x83) || has(0x84) || has(0x85)) return undefined
  const point = fields.find(({ tag }) => tag === 0xa0)
  const places = point && placesIn(point.content)
  // Relative to the issuer's name: nobody publishes so.
  if (places?.length === 0) return undefined
  return { places, only: has(0x81) ? 'others' : has(0x82) ? 'authorities' : undefined }
}

/** The places that a certificate names in its own distribution points. */
export function placesOf(value: Buffer): string[] {
  return elements(only(value, TAG.sequence)).flatMap(({ content }) =>
    elements(content).flatMap(({ tag, content: name }) => (tag === 0xa0 ? placesIn(name) : [])),
  )
}

/** Whether a list with this scope would name the certificate, were it revoked. */
export function isWithin(scope: CrlScope | undefined, { places, authority }: CertificateFacts): boolean {
  if (scope === undefined) return true
  if (scope.only !== undefined && (scope.only === 'authorities') !== (authority === true)) return false
  return scope.places === undefined || scope.places.some((place) => places.includes(place))
}

/** The URIs of a full name. */
function placesIn(name: Buffer): string[] {
  return elements(name)
    .filter(({ tag }) => tag === 0xa0)
    .flatMap(({ content }) => elements(content))
    .filter(({ tag }) => tag === 0x86)
    .map(({ content }) => content.toString('latin1'))
}

function isSet({ content }: Element): boolean {
  return content[0] !== 0
}
