// `pulseward run`: what it prints, which signals it heeds, and with what status it ends.

import { X509Certificate } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { beforeAll, describe, expect, test } from 'vitest'
import { UsageError } from '../../src/cli/io.ts'
import { run, runHelp } from '../../src/cli/run.ts'
import { ConfigError } from '../../src/config/diagnostics.ts'
import { pinOf } from '../../src/tls/pins.ts'
import { TestBroker } from '../help/broker.ts'
import { Device } from '../help/device.ts'
import { Folder } from '../help/folder.ts'
import { deadPort } from '../help/mute.ts'
import { makePki, type Pki } from '../help/pki.ts'
import { listens } from '../help/premises.ts'
import { ward, type WardOptions } from '../help/proxy.ts'
import { eventually, soon } from '../help/wait.ts'

let pki: Pki
let broker: TestBroker

beforeAll(async () => {
  pki = await makePki()
  const { chain: cert, key } = await pki.issue()
  broker = await TestBroker.start({ cert, key })
  return () => broker[Symbol.asyncDispose]()
})

/** A shell to run it in: a folder with proxy.yaml, signals at hand, and what it wrote. */
async function shell(settings: Partial<WardOptions> = {}) {
  const folder = await Folder.make({ 'ca.pem': pki.ca.cert })
  const signals = new EventEmitter()
  const written = { stdout: '', stderr: '' }
  const write = async (changed: Partial<WardOptions>): Promise<void> => {
    // The log goes to the standard output of the tests: nothing below an error is wanted there.
    const more = { log: { level: 'error' }, ...changed.more }
    const pins = [pinOf(new X509Certificate(pki.ca.cert))]
    const config = ward({ brokers: [broker.port], tls: { pins }, ...changed, more })
    await folder.write('proxy.yaml', JSON.stringify(config))
  }
  await write(settings)
  return {
    folder,
    signals,
    written,
    write,
    run: (...argv: string[]) =>
      run(argv, {
        stdout: (text) => void (written.stdout += text),
        stderr: (text) => void (written.stderr += text),
        env: {},
        cwd: folder.path,
        signals,
      }),
    /** The port in the summary, once it is there. */
    async port(): Promise<number> {
      return await eventually('the summary', () => {
        const found = /listening +127\.0\.0\.1:(\d+) \(ward; mqtt\) -> hospital/.exec(written.stderr)?.[1]
        return found === undefined ? undefined : Number(found)
      })
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

describe('the command line', () => {
  test.each(['--help', '-h'])('%s explains it and starts nothing', async (option) => {
    await using site = await shell()
    expect(await site.run(option)).toBe(0)
    expect(site.written).toEqual({ stdout: runHelp, stderr: '' })
    expect(site.signals.eventNames()).toEqual([])
  })

  test.each([[['--confg', 'x']], [['proxy.yaml']], [['--config']]])('%j makes no sense', async (argv) => {
    await using site = await shell()
    await expect(site.run(...argv)).rejects.toBeInstanceOf(UsageError)
  })

  test('a file with mistakes is an error for main to print', async () => {
    await using site = await shell()
    await site.folder.write('other.yaml', 'listeners: 1\n')
    await expect(site.run('-c', 'other.yaml')).rejects.toBeInstanceOf(ConfigError)
    await expect(site.run('--config', 'none.yaml')).rejects.toBeInstanceOf(ConfigError)
    expect(site.written).toEqual({ stdout: '', stderr: '' })
  })
})

describe('signals', () => {
  test.each(['SIGTERM', 'SIGINT'])('%s ends it with 0, once the devices have ended', async (signal) => {
    await using site = await shell({ more: { drain: { timeout: '1h' } } })
    const ended = site.run()
    const port = await site.port()
    await using device = await Device.join(port)
    site.signals.emit(signal)
    await device.everything()
    device.end()
    expect(await soon('the end', ended)).toBe(0)
    expect(await listens(port)).toBe(false)
    const { stderr } = site.written
    expect(stderr).toContain('configured by proxy.yaml')
    expect(stderr).toContain(
      `trusts     hospital: 127.0.0.1:${broker.port} by chain, name and pins (1); TLSv1.3`,
    )
    expect(stderr).toMatch(/metrics +http:\/\/127\.0\.0\.1:\d+\/metrics, \/healthz, \/readyz/)
    expect(stderr).toContain(`mosquitto_pub -h 127.0.0.1 -p ${port} `)
  })

  test('a second one ends it at once, whatever devices do', async () => {
    await using site = await shell({ more: { drain: { timeout: '1h' } } })
    const ended = site.run()
    await using device = await Device.join(await site.port())
    site.signals.emit('SIGTERM')
    await device.everything()
    site.signals.emit('SIGINT')
    expect(await soon('the end', ended)).toBe(0)
    site.signals.emit('SIGINT')
  })

  test('SIGHUP reads the configuration again', async () => {
    await using site = await shell()
    const ended = site.run()
    const before = await site.port()
    const port = await deadPort()
    await site.write({ listener: { bind: `127.0.0.1:${port}` } })
    site.signals.emit('SIGHUP')
    await eventually('the new port', async () => await listens(port))
    await eventually('the old port gone', async () => !(await listens(before)))
    site.signals.emit('SIGTERM')
    expect(await soon('the end', ended)).toBe(0)
  })

  test('one that comes while it starts is heeded', async () => {
    await using site = await shell()
    const ended = site.run()
    // The first of a container's processes would lose it otherwise; SIGHUP would even end any other.
    expect(new Set(site.signals.eventNames())).toEqual(new Set(['SIGHUP', 'SIGINT', 'SIGTERM']))
    site.signals.emit('SIGHUP')
    site.signals.emit('SIGTERM')
    expect(await soon('the end', ended)).toBe(0)
  })
})
