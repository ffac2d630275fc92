#!/usr/bin/env node
// The launcher: finds a Node that can run Pulseward and hands over to it. Plain JavaScript, for any Node from 18 on.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { isatty } from 'node:tty'
import { fileURLToPath, pathToFileURL } from 'node:url'

const wanted = 26
const here = dirname(fileURLToPath(import.meta.url))
const compiled = join(here, '../dist/main.js')
const sources = join(here, '../src/main.ts')
// The checkout runs its sources; only the published package, which has none, runs what was compiled from them.
const main = existsSync(sources) ? sources : compiled

/**
 * V8 counts the 64 KiB that Node hands out for each read as a reason to look for garbage, at first after 32 MiB of them:
 * on a small heap that is a full collection every second, several milliseconds in which readings wait. A young generation
 * of 1 MiB gives them back before it comes to that, and no storm of connections makes it grow. docs/adr/0007.
 */
const heap = ['--initial-old-space-size=64', '--max-semi-space-size=1']

if (Number(process.versions.node.split('.')[0]) < wanted) handOver(findNode())
else if (process.execve !== undefined) {
  // In place of this process, not below it.
  const argv = [process.argv0, ...heap, ...process.execArgv, main, ...process.argv.slice(2)]
  process.execve(process.execPath, argv, process.env)
} else {
  process.argv[1] = main
  await import(pathToFileURL(main).href)
}

/** The Node that came along as a package for this platform. */
function findNode() {
  const require = createRequire(import.meta.url)
  const platform = `${process.platform}-${process.arch}`
  for (const name of [`node-${platform}`, `node-bin-${platform}`]) {
    try {
      return join(dirname(require.resolve(`${name}/package.json`)), 'bin/node')
    } catch {
      // Not installed; the next may be.
    }
  }
  giveUp(
    `Node ${process.versions.node} is too old, and there is no package of Node ${wanted} here`,
    `install Node ${wanted} or newer, or install again with optional dependencies`,
  )
}

/** Stays as the parent of the real thing: signals go down, the exit status comes up. */
function handOver(node) {
  const child = spawn(node, [...heap, main, ...process.argv.slice(2)], { stdio: 'inherit' })
  child.on('error', (error) => giveUp(`cannot start "${node}": ${error.message}`, 'install again'))
  for (const signal of ['SIGHUP', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  // Ctrl-C reaches the child by itself, through the terminal's process group; told twice, it would stop at once.
  const atTerminal = [0, 1, 2].some((descriptor) => isatty(descriptor))
  process.on('SIGINT', () => atTerminal || child.kill('SIGINT'))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    // Ends as the child did, so that a shell or a supervisor sees the same.
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

function giveUp(message, hint) {
  process.stderr.write(`pulseward: ${message}\nhint: ${hint}\n`)
  process.exit(1)
}
