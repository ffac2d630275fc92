// Writes the references and the dashboard that are made from the sources: `npm run docs`. Tests fail where a file is not what this writes.

import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { renderJsonSchema, renderReference } from '../src/config/reference.ts'
import { patches } from '../src/mqtt/patches.ts'
import { allRules } from '../src/mqtt/rules.ts'
import { renderMetricsReference } from '../src/observe/reference.ts'
import { attackers } from '../test/help/attackers.ts'
import { cases } from '../test/tls/cases.ts'
import { renderAttackers } from './attackers.ts'
import { renderCertificates } from './certificates.ts'
import { renderDashboard } from './dashboard.ts'
import { renderMap, type MappedFile } from './map.ts'
import { renderPatches } from './patches.ts'
import { renderRulesReference } from './rules.ts'

const files = {
  '../deploy/grafana/pulseward.json': renderDashboard(),
  'attackers.md': renderAttackers(Object.values(attackers)),
  'certificates.md': renderCertificates(cases),
  'map.md': renderMap(await mappedFiles()),
  'metrics.md': renderMetricsReference(),
  'proxy-yaml.md': renderReference(),
  'proxy.schema.json': renderJsonSchema(),
  'rules.md': renderRulesReference(allRules),
  'virtual-patches.md': renderPatches(patches),
}

await Promise.all(
  Object.entries(files).map(([name, text]) => writeFile(join(import.meta.dirname, name), text)),
)

async function mappedFiles(): Promise<MappedFile[]> {
  const root = join(import.meta.dirname, '..')
  const entries = await readdir(join(root, 'src'), { recursive: true })
  const paths = entries.filter((entry) => entry.endsWith('.ts')).map((entry) => join('src', entry))
  return await Promise.all(
    paths.map(async (path) => {
      const [first = ''] = (await readFile(join(root, path), 'utf8')).split('\n')
      return { path, sentence: first.replace(/^\/\/ /, '') }
    }),
  )
}
