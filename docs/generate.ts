// Writes the references that are made from the sources: `npm run docs`. Tests fail where a file is not what this writes.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { renderJsonSchema, renderReference } from '../src/config/reference.ts'
import { allRules } from '../src/mqtt/rules.ts'
import { renderMetricsReference } from '../src/observe/reference.ts'
import { renderRulesReference } from './rules.ts'

const files = {
  'metrics.md': renderMetricsReference(),
  'proxy-yaml.md': renderReference(),
  'proxy.schema.json': renderJsonSchema(),
  'rules.md': renderRulesReference(allRules),
}

await Promise.all(
  Object.entries(files).map(([name, text]) => writeFile(join(import.meta.dirname, name), text)),
)
