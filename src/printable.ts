// Makes text from devices and brokers safe to print: nothing in it can move a cursor, reorder a line or forge one.

/** Longest text kept unless told otherwise, in UTF-16 code units. */
const LONGEST = 256

/**
 * Everything no honest reader needs to see raw: control characters and line separators (forged lines, terminal
 * sequences), format characters (bidirectional overrides, CVE-2021-42574, and invisible ones), lone surrogates,
 * private and unassigned code points.
 */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/u

/**
 * Returns `text` with unprintable code points as `\u{…}` and, where the result would be longer than `max` code units,
 * cut and ended with `…`. Applying it twice changes nothing. It reads no more than `max` + 1 units of its input.
 */
export function printable(text: string, max: number = LONGEST): string {
  if (text.length <= max && (isPlain(text) || !UNPRINTABLE.test(text))) return text
  let whole = ''
  let cut = ''
  for (const point of text.slice(0, max + 1)) {
    whole += UNPRINTABLE.test(point) ? `\\u{${point.codePointAt(0)?.toString(16)}}` : point
    if (whole.length > max) return `${cut}…`
    if (whole.length < max) cut = whole
  }
  return whole
}

/** Most text is short and ASCII: a loop settles that in a tenth of the time the expression takes. */
function isPlain(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at)
    if (unit < 0x20 || unit > 0x7e) return false
  }
  return true
}
