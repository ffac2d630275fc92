// A bounded reader of DER: elements where they lie, definite lengths and low tag numbers only.

export interface Element {
  readonly tag: number
  readonly content: Buffer
  /** With tag and length. */
  readonly whole: Buffer
}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  enumerated: 0x0a,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const

/** Goes from element to element without making an object of each. Every function here throws where there is no DER. */
export class Walk {
  readonly #bytes: Buffer
  #next: number
  #limit: number
  tag = 0
  /** Where the element begins, and its content; both of the element `next` came to. */
  at = 0
  start = 0
  end = 0

  constructor(bytes: Buffer, from = 0, to = bytes.length) {
    this.#bytes = bytes
    this.#next = from
    this.#limit = to
  }

  /** Begins anew, in another window of the same bytes. */
  over(from: number, to: number): this {
    this.#next = from
    this.#limit = to
    return this
  }

  /** False where nothing is left. */
  next(): boolean {
    const at = this.#next
    if (at >= this.#limit) return false
    this.at = at
    this.tag = this.#bytes.readUInt8(at)
    const first = this.#bytes.readUInt8(at + 1)
    const size = first < 0x80 ? 0 : first & 0x7f
    if ((this.tag & 0x1f) === 0x1f || first === 0x80 || size > 4) throw new Error('not DER')
    this.start = at + 2 + size
    this.end = this.start + (size === 0 ? first : this.#bytes.readUIntBE(at + 2, size))
    if (this.end > this.#limit) throw new Error('cut off')
    this.#next = this.end
    return true
  }
}

/** The elements that lie one after another in `bytes`. */
export function elements(bytes: Buffer): Element[] {
  const found: Element[] = []
  const walk = new Walk(bytes)
  while (walk.next()) {
    const { tag, at, start, end } = walk
    found.push({ tag, content: bytes.subarray(start, end), whole: bytes.subarray(at, end) })
  }
  return found
}

export function expect(element: Element | undefined, tag: number): Buffer {
  if (element?.tag !== tag) throw new Error('another element is expected here')
  return element.content
}

/** The content of the one element that `bytes` are. */
export function only(bytes: Buffer, tag: number): Buffer {
  const [element, ...rest] = elements(bytes)
  if (rest.length > 0) throw new Error('something follows')
  return expect(element, tag)
}

export function dotted(oid: Buffer): string {
  const arcs: number[] = []
  let arc = 0
  for (const byte of oid) {
    arc = arc * 128 + (byte & 0x7f)
    if (byte >= 0x80) continue
    if (arcs.length > 0) arcs.push(arc)
    else arcs.push(Math.min(Math.floor(arc / 40), 2), arc - 40 * Math.min(Math.floor(arc / 40), 2))
    arc = 0
  }
  return arcs.join('.')
}

/** The content of a bit string that ends at a byte. */
export function wholeBytes(element: Element | undefined): Buffer {
  const bits = expect(element, TAG.bits)
  if (bits[0] !== 0) throw new Error('odd bits')
  return bits.subarray(1)
}

/** A serial number's bytes without leading zeros, one character a byte: equal for equal numbers, and short. */
export function serialOf(integer: Buffer): string {
  let at = 0
  while (at < integer.length - 1 && integer[at] === 0) at += 1
  return integer.toString('latin1', at)
}

/** Milliseconds since 1970 of a UTCTime or GeneralizedTime in the forms certificates use (RFC 5280, 4.1.2.5). */
export function timeOf(element: Element | undefined): number {
  const text = element?.content.toString('latin1') ?? ''
  if (element?.tag === TAG.utcTime && /^\d{12}Z$/.test(text)) {
    return momentOf(`${text < '50' ? '20' : '19'}${text}`)
  }
  if (element?.tag === TAG.generalizedTime && /^\d{14}Z$/.test(text)) return momentOf(text)
  throw new Error('another kind of time')
}

function momentOf(text: string): number {
  const moment = Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
  if (Number.isNaN(moment)) throw new Error('no such time')
  return moment
}

export interface Extension {
  /** Dotted. */
  readonly type: string
  readonly critical: boolean
  readonly value: Buffer
}

/** The extensions in the content of their list (RFC 5280, 4.1); none is there twice. */
export function extensionsOf(list: Buffer): Extension[] {
  const extensions = elements(list).map((element): Extension => {
    const parts = elements(expect(element, TAG.sequence))
    const critical = parts[1]?.tag === TAG.boolean && parts[1].content[0] !== 0
    return { type: dotted(expect(parts[0], TAG.oid)), critical, value: expect(parts.at(-1), TAG.octets) }
  })
  const types = new Set(extensions.map(({ type }) => type))
  if (types.size < extensions.length) throw new Error('an extension is there twice')
  return extensions
}
