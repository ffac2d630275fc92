// The machine as it is for whoever installs the package: its own Node, and an environment without traces of this run.

import { execFileSync } from 'node:child_process'
import { delimiter, sep } from 'node:path'
import { findTool } from '../help/prerequisites.ts'

/** The environment without what npm and vitest put into it; `PATH` without the programs of any node_modules. */
export const environment: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries({ ...process.env, PATH: ownPath() }).filter(
    ([name]) => !/^(npm_|VITEST|NODE_|INIT_CWD$|TEST$|TEST_|DEV$|PROD$|MODE$|SSR$|BASE_URL$)/i.test(name),
  ),
)

/** The machine's own Node: its path and major version; undefined where Node came only as a package. */
export const ownNode: { readonly path: string; readonly major: number } | undefined = findOwnNode()

function ownPath(): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  return folders.filter((folder) => !folder.split(sep).includes('node_modules')).join(delimiter)
}

function findOwnNode(): typeof ownNode {
  const path = findTool('node', ownPath())
  if (path === undefined) return undefined
  const version = execFileSync(path, ['-p', 'process.versions.node'], {
    encoding: 'utf8',
    env: { PATH: ownPath() },
  })
  return { path, major: Number.parseInt(version, 10) }
}

/** What npm says when nobody is to blame: no network, and not everything in its cache. */
export const unreachable = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENOTCACHED|ETIMEDOUT|ENETUNREACH/
