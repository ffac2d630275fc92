// The lint configuration really keeps the folders apart: offenders planted in a copy of the house are all caught.

import { execFile } from 'node:child_process'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { Folder } from '../help/folder.ts'

const root = join(import.meta.dirname, '../..')

/** A file, and what it must not import, or what global it must not use. */
const offences: readonly (readonly [string, { imports?: string; uses?: string }])[] = [
  // mqtt/ knows no other folder, and no machine.
  ['src/mqtt/one.ts', { imports: '../net/one.ts' }],
  ['src/mqtt/one.ts', { imports: '../detect/one.ts' }],
  ['src/mqtt/one.ts', { imports: 'node:net' }],
  ['src/mqtt/one.ts', { imports: 'node:fs/promises' }],
  ['src/mqtt/one.ts', { imports: 'zod' }],
  ['src/mqtt/one.ts', { uses: 'setTimeout' }],
  ['src/mqtt/one.ts', { uses: 'Date' }],
  ['src/detect/one.ts', { imports: '../proxy/one.ts' }],
  ['src/detect/one.ts', { imports: '../config/schema.ts' }],
  ['src/detect/one.ts', { imports: 'node:dns' }],
  ['src/detect/one.ts', { uses: 'performance' }],
  ['src/policy/one.ts', { imports: '../config/schema.ts' }],
  ['src/policy/one.ts', { imports: '../observe/log.ts' }],
  ['src/net/sniff.ts', { imports: 'node:net' }],
  ['src/net/syn.ts', { imports: 'node:os' }],
  ['src/tls/client-hello.ts', { imports: 'node:tls' }],
  ['src/tls/client-hello.ts', { uses: 'setInterval' }],
  // net/ and tls/ know no MQTT, no configuration and no metrics.
  ...['mqtt', 'detect', 'policy', 'config', 'proxy', 'observe', 'admin'].flatMap((folder) => [
    ['src/net/one.ts', { imports: `../${folder}/one.ts` }] as const,
    ['src/tls/one.ts', { imports: `../${folder}/one.ts` }] as const,
  ]),
  // pair/ makes and judges proofs; what is sent and kept is others' business, but for the one key in the state.
  ['src/pair/one.ts', { imports: 'node:tls' }],
  ['src/pair/one.ts', { imports: 'node:fs/promises' }],
  ['src/pair/one.ts', { imports: '../tls/trust.ts' }],
  ['src/pair/one.ts', { imports: '../config/schema.ts' }],
  ['src/pair/one.ts', { uses: 'Date' }],
  ['src/tls/one.ts', { imports: '../pair/exchange.ts' }],
  // evidence/ keeps what it is handed, and nobody but app and a command that reads it knows it.
  ['src/evidence/one.ts', { imports: '../proxy/upstream.ts' }],
  ['src/evidence/one.ts', { imports: '../observe/log.ts' }],
  ['src/evidence/one.ts', { imports: '../config/schema.ts' }],
  ['src/evidence/one.ts', { imports: 'node:net' }],
  ['src/proxy/one.ts', { imports: '../evidence/store.ts' }],
  ['src/cli/one.ts', { imports: '../evidence/recorder.ts' }],
  // replay/ is as pure as what it plays captures back to.
  ['src/replay/one.ts', { imports: 'node:fs' }],
  ['src/replay/one.ts', { imports: '../config/snapshot.ts' }],
  ['src/replay/one.ts', { imports: '../proxy/session.ts' }],
  ['src/replay/one.ts', { uses: 'Date' }],
  ['src/proxy/one.ts', { imports: '../replay/replay.ts' }],
  ['src/cli/one.ts', { imports: '../replay/replay.ts' }],
  ['src/cli/analyze.ts', { imports: '../proxy/judge.ts' }],
  // Nobody but app knows admin/, and nobody but app and the commands knows app.
  ['src/proxy/one.ts', { imports: '../admin/server.ts' }],
  ['src/cli/one.ts', { imports: '../admin/server.ts' }],
  ['src/cli/one.ts', { imports: '../proxy/round.ts' }],
  ['src/cli/one.ts', { imports: 'node:child_process' }],
  ['src/cli/check-live.ts', { imports: '../proxy/upstream.ts' }],
  ['src/observe/one.ts', { imports: '../admin/server.ts' }],
  ['src/main.ts', { imports: './admin/server.ts' }],
  ['src/embedded.ts', { imports: './admin/server.ts' }],
  ['src/admin/one.ts', { imports: '../app.ts' }],
  ['src/admin/one.ts', { imports: '../observe/metrics.ts' }],
  ['src/proxy/one.ts', { imports: '../app.ts' }],
  ['src/config/one.ts', { imports: '../proxy/one.ts' }],
  ['src/errors.ts', { imports: './version.ts' }],
  // One door a package.
  ['src/mqtt/validate.ts', { imports: 'mqtt-packet' }],
  ['src/tls/authority.ts', { imports: 'node-forge' }],
  ['src/observe/tally.ts', { imports: 'prom-client' }],
  ['src/proxy/one.ts', { imports: 'pino' }],
  ['src/config/load.ts', { imports: 'yaml' }],
  ['src/cli/one.ts', { imports: 'zod' }],
  ['src/app.ts', { imports: 'aedes' }],
  ['src/net/listener.ts', { imports: 'koffi' }],
  // Only main and the commands touch the process.
  ['src/app.ts', { uses: 'process' }],
  ['src/proxy/one.ts', { uses: 'process' }],
  ['src/observe/one.ts', { imports: 'node:process' }],
  ['src/app.ts', { imports: 'node:process' }],
]

/** What each of them is for: none of it may be called an offence. */
const rights: typeof offences = [
  ['src/cli/check-live.ts', { imports: '../proxy/round.ts' }],
  ['src/mqtt/decode.ts', { imports: 'mqtt-packet' }],
  ['src/mqtt/decode.ts', { imports: './packet.ts' }],
  ['src/detect/two.ts', { imports: '../mqtt/packet.ts' }],
  ['src/policy/two.ts', { imports: '../detect/finding.ts' }],
  ['src/net/two.ts', { imports: 'node:net' }],
  ['src/net/native.ts', { imports: 'koffi' }],
  ['src/tls/mint.ts', { imports: 'node-forge' }],
  ['src/tls/storage.ts', { imports: 'node:fs/promises' }],
  ['src/replay/two.ts', { imports: '../proxy/judge.ts' }],
  ['src/cli/analyze-two.ts', { imports: '../replay/replay.ts' }],
  ['src/evidence/two.ts', { imports: '../tls/sighting.ts' }],
  ['src/cli/two.ts', { imports: '../evidence/audit.ts' }],
  ['src/pair/two.ts', { imports: 'node:crypto' }],
  ['src/pair/identity.ts', { imports: '../tls/storage.ts' }],
  ['src/proxy/two.ts', { imports: '../pair/exchange.ts' }],
  ['src/config/source.ts', { imports: 'yaml' }],
  ['src/config/two.ts', { imports: 'zod' }],
  ['src/config/two.ts', { imports: '../tls/pins.ts' }],
  ['src/observe/metrics.ts', { imports: 'prom-client' }],
  ['src/observe/log.ts', { imports: 'pino' }],
  ['src/observe/process.ts', { imports: 'node:process' }],
  ['src/proxy/two.ts', { imports: '../mqtt/frames.ts' }],
  ['src/proxy/two.ts', { uses: 'setTimeout' }],
  ['src/app.ts', { imports: './admin/server.ts' }],
  ['src/embedded.ts', { imports: 'aedes' }],
  ['src/cli/two.ts', { imports: '../app.ts' }],
  ['src/cli/tool.ts', { imports: 'node:child_process' }],
  ['src/cli/two.ts', { uses: 'process' }],
  ['src/main.ts', { uses: 'process' }],
]

test('every planted offence is reported, and nothing that is anybody’s right', async () => {
  await using folder = await plant([...offences, ...rights])
  const reported = await lint(folder.path)
  const verdicts = (cases: typeof offences) =>
    cases.map(([file, { imports, uses }]) => `${file}: ${imports ?? uses}`)
  expect(reported.toSorted()).toEqual(verdicts(offences).toSorted())
})

/** The offences as files, one line each, beside the house's own lint configuration. */
async function plant(cases: typeof offences): Promise<Folder> {
  const folder = await Folder.make()
  await copyFile(join(root, '.oxlintrc.json'), folder.at('.oxlintrc.json'))
  for (const [file, lines] of Map.groupBy(cases, ([path]) => path)) {
    await mkdir(dirname(folder.at(file)), { recursive: true })
    const text = lines.map(([, { imports, uses }]) => (imports ? `import '${imports}'` : `void ${uses}`))
    await writeFile(folder.at(file), `${text.join('\n')}\n`)
  }
  return folder
}

/** `FILE: WHAT` for every broken layering rule. */
async function lint(folder: string): Promise<string[]> {
  const oxlint = join(root, 'node_modules/oxlint/bin/oxlint')
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  // It exits with 1, for it finds what was planted.
  execFile(process.execPath, [oxlint, '--format', 'json'], { cwd: folder }, (error, stdout) =>
    stdout === '' ? reject(error ?? new Error('oxlint said nothing')) : resolve(stdout),
  )
  const { diagnostics } = JSON.parse(await promise) as {
    diagnostics: { code: string; message: string; filename: string; help?: string }[]
  }
  return diagnostics
    .filter(({ code }) => /no-restricted-(imports|globals)/.test(code))
    .map(({ filename, message, help }) => {
      // Each offence is told together with its reason.
      expect(`${message} ${help ?? ''}`.length).toBeGreaterThan(60)
      return `${filename}: ${/'([^']+)'/.exec(message)?.[1] ?? message}`
    })
}
