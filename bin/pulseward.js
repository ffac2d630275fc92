#!/usr/bin/env node
// The launcher: finds a Node that can run Pulseward and hands over to it. Plain JavaScript, for any Node from 18 on.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const wanted = 26
const here = dirname(fileURLToPath(import.meta.url))
const compiled = join(here, '../dist/main.js')
const sources = join(here, '../src/main.ts')
// The checkout runs its sources; only the published package, which has none, runs what was compiled from them.
const main = existsSync(sources) ? sources : compiled
const argv = process.argv.slice(2)

if (Number(process.versions.node.split('.')[0]) >= wanted) {
  process.argv[1] = main
  await import(main)
} else {
  handOver(findNode())
}

/** The Node that came along as a package for this platform. */
function findNode() {
  const require = createRequire(import.meta.url)
  const names = [`node-${process.platform}-${process.arch}`, `node-bin-${process.platform}-${process.arch}`]
  for (const name of names) {
    try {
      return join(dirname(require.resolve(`${name}/package.json`)), 'bin/node')
    } catch {
      // Not installed; the next may be.
    }
  }
  console.error(
    `pulseward: Node ${process.versions.node} is too old, and there is no package of Node ${wanted} here`,
  )
  console.error(`hint: install Node ${wanted} or newer, or install again with optional dependencies`)
  process.exit(1)
}

function handOver(node) {
  if (typeof process.execve === 'function') process.execve(node, [node, main, ...argv])
  const child = spawn(node, [main, ...argv], { stdio: 'inherit' })
  for (const signal of ['SIGHUP', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  // Ctrl-C reaches the child by itself, through the terminal's process group; here it only must not end the launcher.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  child.on('error', (error) => {
    console.error(`pulseward: cannot start "${node}": ${error.message}`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
