// Text that a stranger chose, such as a certificate's subject, made safe for terminals, logs and YAML comments.

/** Longer texts say nothing more about who somebody is. */
const LONGEST = 300

/** C0 and C1 controls, line separators, and the marks that turn the direction of text around (CVE-2021-42574). */
// oxlint-disable-next-line no-control-regex
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

/** One line without control or direction characters: those appear as `\u{…}`, what is too long is cut. */
export function printable(text: string): string {
  const line = text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text
  return line.replaceAll(UNSAFE, (mark) => `\\u{${(mark.codePointAt(0) ?? 0).toString(16)}}`)
}

/** A distinguished name, which node gives one attribute a line, on one safe line. */
export function nameLine(distinguishedName: string | undefined): string {
  return printable((distinguishedName ?? '').replaceAll('\n', ', ')) || '(no name)'
}

/** A moment as ISO 8601, or that its certificate holds none that can be read. */
export function momentText(moment: Date): string {
  return Number.isNaN(moment.getTime()) ? '(unreadable date)' : moment.toISOString()
}
