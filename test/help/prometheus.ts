// A real Prometheus that scrapes one address every second and evaluates our rules as often.

import { copyFile, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { once } from 'node:events'
import { Child } from './child.ts'
import { Folder } from './folder.ts'
import { tool } from './tools.ts'
import { eventually } from './wait.ts'

export const rulesFile = fileURLToPath(new URL('../../deploy/prometheus/rules.yml', import.meta.url))

interface Alert {
  readonly state: 'pending' | 'firing'
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [number, string]
}

export class Prometheus implements AsyncDisposable {
  readonly #folder: Folder
  readonly #child: Child
  readonly #base: string

  private constructor(folder: Folder, child: Child, base: string) {
    this.#folder = folder
    this.#child = child
    this.#base = base
  }

  /** Starts it and waits until it has scraped `target`, `host:port`, and evaluated every rule without an error. */
  static async start(target: string): Promise<Prometheus> {
    const folder = await Folder.make({})
    await copyFile(rulesFile, folder.at('rules.yml'))
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: ['rules.yml'],
      scrape_configs: [{ job_name: 'pulseward', static_configs: [{ targets: [target] }] }],
    }
    await writeFile(folder.at('prometheus.yml'), JSON.stringify(config))
    const port = await freePort()
    const child = new Child(tool('prometheus'), [
      `--config.file=${folder.at('prometheus.yml')}`,
      `--storage.tsdb.path=${folder.at('data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ])
    const prometheus = new Prometheus(folder, child, `http://127.0.0.1:${port}/api/v1`)
    await eventually(
      () => `Prometheus scrape: ${child.stderr.slice(-500)}`,
      async () => child.running && (await prometheus.#isUp()),
    )
    return prometheus
  }

  async alerts(): Promise<readonly Alert[]> {
    return (await this.#get<{ alerts: Alert[] }>('alerts')).alerts
  }

  /** Of every rule: its name, and what went wrong when it was evaluated last. */
  async rules(): Promise<readonly { readonly name: string; readonly health: string }[]> {
    const { groups } = await this.#get<{ groups: { rules: { name: string; health: string }[] }[] }>('rules')
    return groups.flatMap(({ rules }) => rules)
  }

  async query(expression: string): Promise<readonly Sample[]> {
    return (await this.#get<{ result: Sample[] }>(`query?query=${encodeURIComponent(expression)}`)).result
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]()
    await this.#folder[Symbol.asyncDispose]()
  }

  async #isUp(): Promise<boolean> {
    try {
      const [up] = await this.query('up{job="pulseward"}')
      return up?.value[1] === '1' && (await this.rules()).every(({ health }) => health === 'ok')
    } catch {
      // It does not listen yet.
      return false
    }
  }

  async #get<Data>(path: string): Promise<Data> {
    const response = await fetch(`${this.#base}/${path}`)
    const { status, data, error } = (await response.json()) as {
      status: string
      data: Data
      error?: string
    }
    if (status !== 'success') throw new Error(`Prometheus says ${error}`)
    return data
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
