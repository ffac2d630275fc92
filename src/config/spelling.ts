// "Did you mean": the known word nearest to a mistyped one.

/** Longer words are not compared: the work grows with the square of the length. */
const LONGEST = 64
/** More words than that on a line help nobody. */
const MOST_NAMED = 32

/** A hint naming the word that was meant, or the words there are to choose from. */
export function suggest(word: string, known: readonly string[]): string {
  const meant = nearest(word, known)
  if (meant !== undefined) return `did you mean '${meant}'?`
  if (known.length <= MOST_NAMED) return `known here: ${known.join(', ')}`
  return `none of the ${known.length} names known here looks like it; docs/proxy-yaml.md has them all`
}

function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > LONGEST) return undefined
  const folded = fold(word)
  let best: string | undefined
  // One slip in three letters still looks like the word; more is another word.
  let least = Math.floor(folded.length / 3) + 1
  for (const candidate of known) {
    const distance = editDistance(folded, fold(candidate))
    if (distance < least) [best, least] = [candidate, distance]
  }
  return best
}

/** `max_packet`, `max-packet` and `MaxPacket` are all `maxPacket`. */
function fold(word: string): string {
  return word.toLowerCase().replaceAll(/[-_.\s]/g, '')
}

/** Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment). */
function editDistance(from: string, to: string): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1]
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      current[column] = Math.min(
        at(previous, column) + 1,
        at(current, column - 1) + 1,
        at(previous, column - 1) + (same ? 0 : 1),
        swapped ? at(beforePrevious, column - 2) + 1 : Infinity,
      )
    }
    ;[beforePrevious, previous] = [previous, current]
  }
  return at(previous, to.length)
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Infinity
}
