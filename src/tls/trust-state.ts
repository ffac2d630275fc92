// What the state directory knows of trust while the proxy runs: read for each configuration, added to on first use.
import { messageOf } from '../errors.ts'
import { addFirstUse } from './first-use.ts'
import type { FirstUsePin } from './first-use.ts'
import { readKnown } from './known.ts'
import type { Known } from './known.ts'
import { ProfileBook } from './profile-book.ts'

type Fields = Readonly<Record<string, unknown>>

interface TrustStateDeps {
  readonly log: Readonly<Record<'info' | 'warn' | 'error', (fields: Fields, message: string) => void>>
  /** For lines that a broker can provoke: limited by kind. */
  readonly limited: (level: 'warn' | 'error', kind: string, fields: Fields, message: string) => void
  readonly metrics: { found(detector: string, severity: 'warning', action: 'report'): void }
  /** A pin was stored and has to come into force. */
  readonly onFirstUse: () => void
}

export class TrustState implements AsyncDisposable {
  readonly profiles: ProfileBook
  readonly #deps: TrustStateDeps
  #state = ''
  /** Pins of first use that are being stored. */
  #storing: Promise<void> = Promise.resolve()

  constructor(deps: TrustStateDeps) {
    this.#deps = deps
    this.profiles = new ProfileBook({ log: deps.limited })
  }

  /** Reads a state directory and says what is wrong with it; `adopt` has it count. */
  async prepare(state: string): Promise<{ readonly known: Known; readonly adopt: () => void }> {
    const { log } = this.#deps
    const { warnings, ...known } = await readKnown(state, Date.now)
    for (const { about, warning } of warnings) log.error({ warning }, about)
    for (const { upstream, pin, at, by } of known.accepted)
      log.info({ upstream, pin, at, by }, 'a pin accepted beside those of proxy.yaml')
    const adoptProfiles = await this.profiles.prepare(state)
    const adopt = (): void => {
      this.#state = state
      adoptProfiles()
      for (const order of this.profiles.forget(known.forgotten))
        log.info({ ...order }, 'a profile was forgotten')
    }
    return { known, adopt }
  }

  /** Nothing is trusted until the pin is on disk; of those that come at once for one server, only one is stored. */
  readonly meetFirst = (pin: FirstUsePin): void => {
    const state = this.#state
    this.#storing = this.#storing.then(() => this.#store(state, pin))
  }

  async #store(state: string, pin: FirstUsePin): Promise<void> {
    const { log, limited, metrics, onFirstUse } = this.#deps
    try {
      if (!(await addFirstUse(state, pin))) return
      metrics.found('first-use', 'warning', 'report')
      log.warn({ ...pin }, 'a broker is trusted on first use: nothing proves who it is')
      onFirstUse()
    } catch (error) {
      const fields = { ...pin, error: messageOf(error) }
      limited('error', `first use ${pin.server}`, fields, 'a broker met for the first time is not trusted')
    }
  }

  /** Writes what is still to be written. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#storing
    await this.profiles[Symbol.asyncDispose]()
  }
}
