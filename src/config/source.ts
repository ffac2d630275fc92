// The YAML text of proxy.yaml: its values, with the environment filled in, and the place of each.
import {
  LineCounter,
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  isSeq,
  parseDocument,
  visit,
} from 'yaml'
import type { Document, Node, Scalar } from 'yaml'
import { ConfigError, aboutFile, formatPath, quote } from './diagnostics.ts'
import type { Diagnostic, Problem } from './diagnostics.ts'
import { fillIn } from './environment.ts'
import type { Environment } from './environment.ts'
import { mapping } from './parts.ts'

/** How often one anchor may count, with what it holds; more is a bomb, not a configuration. */
const MOST_ALIASES = 100
/** More would not be read; errors go before warnings. */
const MOST_DIAGNOSTICS = 100

/** Where the parser's own words help nobody. */
const plainWords: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'expected one YAML document, and another begins here',
  NON_STRING_KEY: 'expected the name of an option',
  RESOURCE_EXHAUSTION: 'nested too deeply',
  TAG_RESOLVE_FAILED: 'tags are not understood here',
}

type Path = readonly PropertyKey[]

/** Where an option stands: itself, its key, and the nearest thing around it that the file does have. */
interface Place {
  readonly node: Node | undefined
  readonly offset: number
  readonly keyOffset: number
}

export class Source {
  readonly text: string
  readonly #file: string
  readonly #document: Document
  readonly #lines: LineCounter
  /** Found while filling in; what is said about the same places later only follows from these. */
  #problems: Problem[] = []

  private constructor(file: string, text: string, document: Document, lines: LineCounter) {
    this.text = text
    this.#file = file
    this.#document = document
    this.#lines = lines
  }

  /** @throws {ConfigError} when the bytes are not one YAML document. */
  static parse(file: string, bytes: Buffer): Source {
    const text = decode(bytes)
    if (text === undefined) throw new ConfigError(file, [aboutFile(file, 'the file is not UTF-8 text')])
    const lines = new LineCounter()
    // Pretty errors would print the lines around a mistake, whatever they hold.
    // Its own search for equal keys takes the square of their number; #repeatedKeys does not.
    const options = { lineCounter: lines, prettyErrors: false, stringKeys: true, uniqueKeys: false }
    const document = parseDocument(text, options)
    const source = new Source(file, text, document, lines)
    const errors = [...source.#syntaxErrors(), ...source.#repeatedKeys()]
    if (errors.length > 0) throw new ConfigError(file, inOrder(errors))
    return source
  }

  /**
   * Fills in the variables and returns what the document holds.
   *
   * @throws {ConfigError} when that is not a mapping, or cannot be told within bounds.
   */
  fillIn(environment: Environment): Readonly<Record<string, unknown>> {
    visit(this.#document, {
      Scalar: (key, node, ancestors) => {
        const problem = key === 'key' ? checkKey(node) : fillInScalar(node, environment)
        if (problem !== undefined) this.#problems.push({ ...problem, path: pathOf(ancestors, node) })
      },
    })
    if (!isMap(this.#document.contents)) {
      throw new ConfigError(this.#file, [aboutFile(this.#file, 'expected a mapping of options')])
    }
    try {
      return mapping(this.#document.toJS({ maxAliasCount: MOST_ALIASES }))
    } catch {
      throw new ConfigError(this.#file, [
        aboutFile(this.#file, 'too many aliases', 'write it out without & and *'),
      ])
    }
  }

  /** Gives every problem its place, in the order of the file; adds those met while filling in. */
  place(problems: readonly Problem[]): Diagnostic[] {
    const unset = new Set(this.#problems.map(({ path }) => formatPath(path)))
    const others = problems.filter(({ path }) => !unset.has(formatPath(path)))
    const warnings = others.filter(({ severity }) => severity === 'warning')
    const errors = [...this.#problems, ...others.filter(({ severity }) => severity !== 'warning')]
    const first = [...errors, ...warnings].slice(0, MOST_DIAGNOSTICS)
    return inOrder(first.map((problem) => this.#locate(problem)))
  }

  #locate({ path, message, hint, severity, atKey, quote: shown }: Problem): Diagnostic {
    const { node, offset, keyOffset } = this.#find(path)
    return {
      ...this.#position(atKey === true ? keyOffset : offset),
      path: formatPath(path),
      message: shown === true ? `${message}${got(message)}${describe(node, path, atKey)}` : message,
      ...(hint === undefined ? {} : { hint }),
      severity: severity ?? 'error',
    }
  }

  #find(path: Path): Place {
    let node: Node | null | undefined = this.#document.contents
    let keyOffset = 0
    let offset = node?.range?.[0] ?? 0
    for (const key of path) {
      if (isAlias(node)) node = node.resolve(this.#document)
      if (isMap(node)) {
        const pair = node.items.find((item) => isScalar(item.key) && item.key.value === key)
        if (pair === undefined) return { node: undefined, offset: keyOffset, keyOffset }
        keyOffset = (pair.key as Scalar.Parsed).range[0]
        node = pair.value as Node | null
      } else if (isSeq(node)) {
        node = node.items[Number(key)] as Node | undefined
        keyOffset = node?.range?.[0] ?? keyOffset
      } else break
      offset = node?.range?.[0] ?? keyOffset
    }
    return { node: node ?? undefined, offset, keyOffset }
  }

  #position(offset: number) {
    const { line, col } = this.#lines.linePos(offset)
    return { file: this.#file, line: Math.max(line, 1), column: Math.max(col, 1) }
  }

  /** The first of each line: the rest follow from it. */
  #syntaxErrors(): Diagnostic[] {
    const byLine = new Map<number, Diagnostic>()
    for (const { code, message, pos } of [...this.#document.errors, ...this.#document.warnings]) {
      const position = this.#position(pos[0])
      if (byLine.has(position.line)) continue
      const [start, end] = [position.line - 1, position.line].map((line) => this.#lines.lineStarts[line])
      const hint = this.text.slice(start, end).includes('${')
        ? 'put quotes around a text with "${…}" inside { } or [ ]'
        : undefined
      byLine.set(position.line, {
        ...position,
        path: '',
        message: plainWords[code] ?? `not YAML: ${tidy(message)}`,
        ...(hint && { hint }),
        severity: 'error',
      })
    }
    return [...byLine.values()]
  }

  #repeatedKeys(): Diagnostic[] {
    const repeated: Diagnostic[] = []
    visit(this.#document, {
      Map: (_, map, ancestors) => {
        const seen = new Set<unknown>()
        for (const { key } of map.items) {
          if (!isScalar(key)) continue
          if (seen.has(key.value)) {
            const path = formatPath([...pathOf(ancestors, map), String(key.value)])
            const message = 'this option is given twice'
            repeated.push({ ...this.#position(key.range?.[0] ?? 0), path, message, severity: 'error' })
          }
          seen.add(key.value)
        }
      },
    })
    return repeated
  }
}

function decode(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** JavaScript would take the value for the prototype of the mapping, and no check would see it. */
function checkKey({ value }: Scalar): Omit<Problem, 'path'> | undefined {
  return value === '__proto__' ? { message: 'unknown option', atKey: true } : undefined
}

function fillInScalar(node: Scalar, environment: Environment): Omit<Problem, 'path'> | undefined {
  if (typeof node.value !== 'string' || !node.value.includes('${')) return undefined
  const filled = fillIn(node.value, environment)
  if ('message' in filled) {
    node.value = ''
    return filled
  }
  // Without quotes, `true` and `8` from a variable mean what they mean in the file.
  const word = node.type === 'PLAIN' && /^(?:true|false|0|[1-9]\d{0,14})$/.test(filled.text)
  node.value = word ? JSON.parse(filled.text) : filled.text
  return undefined
}

function pathOf(ancestors: readonly unknown[], node: unknown): Path {
  return ancestors.flatMap((ancestor, index): Path => {
    if (isPair(ancestor)) return isScalar(ancestor.key) ? [String(ancestor.key.value)] : []
    return isSeq(ancestor) ? [ancestor.items.indexOf(ancestors[index + 1] ?? node)] : []
  })
}

function got(message: string): string {
  return message.startsWith('expected') ? ', got ' : ': '
}

function describe(node: Node | undefined, path: Path, atKey: true | undefined): string {
  if (atKey === true) return quote(String(path.at(-1)))
  if (isCollection(node)) return isSeq(node) ? 'a list' : 'a mapping'
  if (isAlias(node)) return `*${node.source}`
  const source = isScalar(node) ? (node.source ?? '') : ''
  return source === '' ? 'nothing' : quote(source)
}

function tidy(message: string): string {
  const line = message.replaceAll(/\s+/g, ' ')
  return (line.length > 200 ? `${line.slice(0, 200)}…` : line).replace(/^[A-Z](?=[a-z])/, (letter) =>
    letter.toLowerCase(),
  )
}

function inOrder(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  const sorted = diagnostics.toSorted((one, other) => one.line - other.line || one.column - other.column)
  return sorted.slice(0, MOST_DIAGNOSTICS)
}
