// What zod found, in the words of an administrator.
import { z } from 'zod'
import { formatPath } from './diagnostics.ts'
import type { Problem } from './diagnostics.ts'
import { suggest } from './spelling.ts'

type Issue = z.core.$ZodIssue
type Path = readonly PropertyKey[]

const nouns: Readonly<Record<string, string>> = {
  array: 'a list',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a number',
  object: 'a mapping of options',
  record: 'a mapping of names',
  string: 'text',
}

/** Reads a value by a schema; everything wrong with it, with paths that begin at `base`. */
export function read<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  base: Path = [],
): { value: z.output<Schema> } | { problems: Problem[] } {
  const result = schema.safeParse(value, { error: nameKnownKeys })
  if (result.success) return { value: result.data }
  const problems = new Map<string, Problem>()
  for (const problem of result.error.issues.flatMap((issue) => explain(issue, base, value))) {
    // Only the first at a place: zod goes on to measure the length of what is not even a list.
    const place = formatPath(problem.path)
    if (!problems.has(place)) problems.set(place, problem)
  }
  return { problems: [...problems.values()] }
}

/** Puts the keys an object does have into the message about one it has not; zod leaves them out of the issue. */
const nameKnownKeys: z.core.$ZodErrorMap = (issue) => {
  if (issue.code !== 'unrecognized_keys' || !(issue.inst instanceof z.ZodObject)) return undefined
  return Object.keys(issue.inst.shape).join(' ')
}

function explain(issue: Issue, base: Path, root: unknown): Problem[] {
  const path = [...base, ...issue.path]
  const value = valueAt(root, issue.path)
  if (value === undefined && issue.code !== 'unrecognized_keys') return [missing(path, issue)]
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: [...path, key],
        message: 'unknown option',
        hint: suggest(key, issue.message.split(' ')),
        atKey: true,
      }))
    case 'invalid_union':
      return explainUnion(issue, path, value)
    case 'invalid_key':
      return [{ path, message: issue.issues[0]?.message ?? issue.message, atKey: true, quote: true }]
    case 'invalid_value': {
      const problem = wrongWord(path, issue.values.map(String), value)
      // Where the words are not zod's, the schema says why there is no other.
      return [issue.message.startsWith('Invalid') ? problem : { ...problem, hint: issue.message }]
    }
    case 'invalid_type':
      return [{ path, message: `expected ${nouns[issue.expected] ?? issue.expected}`, quote: true }]
    case 'too_small':
    case 'too_big':
      return [outOfRange(path, issue)]
    case 'custom': {
      const hint: unknown = issue.params?.['hint']
      const known = typeof hint === 'string' ? { hint } : {}
      return [{ path, message: issue.message, ...known, quote: true }]
    }
    default:
      return [{ path, message: lowerFirst(issue.message), quote: true }]
  }
}

function missing(path: Path, issue: Issue): Problem {
  const hint = issue.code === 'invalid_value' ? `one of ${issue.values.map(String).join(', ')}` : undefined
  return { path, message: 'this option is required', hint }
}

/** A union has failed: the alternative meant is the one whose shape fits; without one, the union's own words stand. */
function explainUnion(issue: z.core.$ZodIssueInvalidUnion, path: Path, value: unknown): Problem[] {
  if ('options' in issue && issue.options !== undefined)
    return [wrongWord(path, issue.options.map(String), value)]
  const meant = issue.errors.filter((issues) => issues.every(fitsShape))
  const [only] = meant
  if (only !== undefined && meant.length === 1) return only.flatMap((inner) => explain(inner, path, value))
  return [{ path, message: issue.message, quote: true }]
}

function fitsShape({ path, code }: Issue): boolean {
  return path.length > 0 || code === 'unrecognized_keys'
}

function wrongWord(path: Path, words: readonly string[], value: unknown): Problem {
  const message = words.length === 1 ? `expected ${words[0]}` : `expected one of ${words.join(', ')}`
  const hint = typeof value === 'string' ? suggest(value, words) : undefined
  return { path, message, hint: hint?.startsWith('did you mean') ? hint : undefined, quote: true }
}

function outOfRange(path: Path, issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): Problem {
  const limit = issue.code === 'too_small' ? `at least ${issue.minimum}` : `at most ${issue.maximum}`
  if (issue.origin === 'array') return { path, message: `expected a list of ${limit}` }
  return { path, message: `expected ${limit}`, quote: true }
}

function valueAt(root: unknown, path: Path): unknown {
  let value = root
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<PropertyKey, unknown>)[key]
  }
  return value
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}
