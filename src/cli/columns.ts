// Tables on a terminal: rows in columns as wide as their widest cell, every cell safe to print.
import { printable } from '../printable.ts'

/** Two spaces between columns, and none at the end of a line; cells are cut at `longest` characters. */
export function aligned(rows: readonly (readonly string[])[], longest?: number): string[] {
  const shown = rows.map((cells) => cells.map((cell) => printable(cell, longest)))
  const widths: number[] = []
  for (const cells of shown) {
    for (const [index, { length }] of cells.entries()) widths[index] = Math.max(widths[index] ?? 0, length)
  }
  return shown.map((cells) =>
    cells
      .map((cell, index) => (index === cells.length - 1 ? cell : cell.padEnd(widths[index] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}
