// The reference of proxy.yaml as Markdown, and its JSON Schema, both made from the schema of the options.
import { z } from 'zod'
import { configSchema } from './schema.ts'

/** The part of JSON Schema that zod writes and the reference reads, and what `.meta()` adds to it. */
interface Shape {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly const?: string
  readonly enum?: readonly unknown[]
  readonly properties?: Readonly<Record<string, Shape>>
  readonly required?: readonly string[]
  readonly additionalProperties?: Shape | false
  readonly items?: Shape
  readonly anyOf?: readonly Shape[]
  readonly oneOf?: readonly Shape[]
  readonly kind?: string
  readonly range?: string
  readonly otherwise?: string
}

/** A mapping of options, and how the way to it is written. */
interface Section {
  readonly title: string
  readonly shape: Shape
}

/** docs/proxy.schema.json: JSON Schema 2020-12, for editors; it does not know what options mean together. */
export function renderJsonSchema(): string {
  const schema = z.toJSONSchema(configSchema, { io: 'input' })
  return `${JSON.stringify({ title: 'proxy.yaml of Pulseward', ...schema }, withoutNotes, 2)}\n`
}

/** Leaves out what only the reference reads; an option may have the name of a note, and is no text then. */
function withoutNotes(key: string, value: unknown): unknown {
  return typeof value === 'string' && ['kind', 'range', 'otherwise'].includes(key) ? undefined : value
}

/** docs/proxy-yaml.md. */
export function renderReference(): string {
  const root = z.toJSONSchema(configSchema, { io: 'input' }) as Shape
  const sections = sectionsOf({ title: '', shape: root }).map(renderSection)
  return [introduction, ...sections].join('\n')
}

const introduction = `# proxy.yaml

<!-- Generated from src/config/schema.ts by "npm run docs"; edit that file instead. -->

Pulseward reads one YAML 1.2 file, \`proxy.yaml\` in the directory it is started in unless \`--config FILE\` names
another. \`pulseward check\` lists everything wrong with it; \`pulseward schema\` prints a JSON Schema for editors.

\`\`\`yaml
listeners:
  - name: ward
    bind: 0.0.0.0:1883
    upstream: hospital
upstreams:
  hospital:
    servers: [mqtts://broker-a.hospital.example, mqtts://broker-b.hospital.example:8884]
    tls:
      pins:
        - sha256/B1bMBM/jQ2DP7Pmv9WZmcdemoRZn7cqON28iWk8QqLA=
        - sha256/aJGJmEDslHoHOMJTRAo2W8qLMj13OHgMhgKByfLfCKE=
\`\`\`

- **Unknown options are mistakes**, so that a misspelt limit is never silently the default.
- **Durations** are a whole number and \`ms\`, \`s\`, \`m\`, \`h\` or \`d\`: \`250ms\`, \`10s\`, \`24h\`.
- **Sizes** are a whole number and \`B\`, \`KiB\`, \`MiB\`, \`GiB\` (powers of 1024) or \`kB\`, \`MB\`, \`GB\` (of 1000).
- **Paths** begin at the directory of the file.
- **\`\${NAME}\`** in any value is the environment variable of that name, \`\${NAME:-text}\` has a default for one that is
  unset or empty, and \`$\${\` is \`\${\` itself. Put quotes around it inside \`{ }\` and \`[ ]\`.
`

/** The section itself, then those of the mappings in it, in the order of the schema. */
function sectionsOf(section: Section): Section[] {
  const inner = Object.entries(section.shape.properties ?? {}).flatMap(([key, shape]) =>
    mappingsIn(shape, section.title === '' ? key : `${section.title}.${key}`),
  )
  return [section, ...inner.flatMap(sectionsOf)]
}

function mappingsIn(shape: Shape, title: string): Section[] {
  const { properties, additionalProperties, items, anyOf, oneOf } = shape
  if (properties !== undefined) return [{ title, shape }]
  if (additionalProperties) return mappingsIn(withDescription(additionalProperties, shape), `${title}.NAME`)
  if (items !== undefined) return mappingsIn(withDescription(items, shape), `${title}[]`)
  return [...(anyOf ?? []), ...(oneOf ?? [])].flatMap((choice) => mappingsIn(choice, kindOf(choice, title)))
}

/** `detectors[]` of one kind. */
function kindOf(choice: Shape, title: string): string {
  const kind = choice.properties?.['kind']?.const
  return kind === undefined ? title : `${title} of kind ${kind}`
}

function withDescription(inner: Shape, { description }: Shape): Shape {
  return description === undefined ? inner : { description, ...inner }
}

function renderSection({ title, shape }: Section): string {
  const rows = Object.entries(shape.properties ?? {}).map(([key, option]) => {
    const required = shape.required?.includes(key) === true
    const cells = [`\`${key}\``, typeOf(option), defaultOf(option, required), meaningOf(option)]
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  })
  const heading = title === '' ? '## The file' : `## ${title}`
  const description = shape.description === undefined ? [] : [shape.description, '']
  return [
    heading,
    '',
    ...description,
    '| Option | Type | Default | Meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
}

function typeOf(shape: Shape): string {
  if (shape.kind !== undefined) return shape.kind
  if (shape.const !== undefined) return code(shape.const)
  if (shape.enum !== undefined) return shape.enum.map(code).join(', ')
  if (shape.items !== undefined) return `list of ${typeOf(shape.items)}`
  const choices = shape.anyOf ?? shape.oneOf
  if (choices !== undefined) return [...new Set(choices.map(typeOf))].join(' or ')
  if (shape.properties !== undefined) return 'options'
  if (shape.additionalProperties) return 'options by name'
  return shape.type === 'boolean' ? '`true`, `false`' : 'text'
}

function defaultOf(shape: Shape, required: boolean): string {
  if (required) return 'required'
  if (shape.otherwise !== undefined) return shape.otherwise
  const { default: value } = shape
  if (value === undefined) return 'none'
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(wordOf).join(', ')
  if (typeof value === 'object') return shape.properties === undefined ? 'none' : 'each its own'
  return code(value)
}

/** One entry of a list that is the default; of an entry with a kind, the kind. */
function wordOf(value: unknown): string {
  return code(typeof value === 'object' && value !== null && 'kind' in value ? value.kind : value)
}

function meaningOf({ description = 'Which of them it is.', range, items }: Shape): string {
  const bounds = range ?? items?.range
  return bounds === undefined ? description : `${description} From ${bounds}.`
}

function code(value: unknown): string {
  return `\`${String(value)}\``
}
