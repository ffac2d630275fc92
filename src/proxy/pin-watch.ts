// What is told of trust that was given: the ends of chain and pins, and what was noticed and let through all the same.

import type { UpstreamPlan } from '../config/snapshot.ts'
import type { Limited } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import { daysLeft, endsOf, Reminders } from '../tls/ends.ts'
import { pinOf, shortPin } from '../tls/pins.ts'
import { pinsIn } from '../tls/pinset.ts'
import type { HandshakeFacts, Verdict } from '../tls/verdict.ts'

/** Reports about servers and leaves remembered, so that each is written once. */
const mostReported = 256

interface View {
  readonly path: Verdict['path']
  readonly notAfter: readonly number[]
  readonly labels: readonly string[]
  readonly inUse: readonly string[]
}

export class PinWatch {
  readonly #plan: Pick<UpstreamPlan, 'name' | 'trust' | 'warnBefore'>
  readonly #metrics: Metrics
  readonly #limited: Limited
  readonly #reminders = new Reminders()
  /** Servers and leaves that were told of, and what was said. */
  readonly #reported = new Set<string>()
  #view: View | undefined

  constructor(
    plan: Pick<UpstreamPlan, 'name' | 'trust' | 'warnBefore'>,
    { metrics, limited }: { readonly metrics: Metrics; readonly limited: Limited },
  ) {
    this.#plan = plan
    this.#metrics = metrics
    this.#limited = limited
  }

  /** A handshake with a server was trusted. */
  trusted(server: string, verdict: Verdict, { resumed, at }: HandshakeFacts): void {
    const isNews = this.#view?.path !== verdict.path
    const view = this.#viewOf(verdict.path)
    this.#metrics.trusted(this.#plan.name, server, view.notAfter, view)
    if (verdict.reported !== undefined) this.#report(server, verdict)
    if (verdict.remarks !== undefined) this.#remark(server, verdict.path, verdict.remarks)
    // Naming the ends reads every certificate: once for a chain, and then day by day, not for every handshake.
    if (isNews && !resumed) this.remind(at)
  }

  /** Says, once a day each, which certificates of the last chain and which pins end soon, or have ended. */
  remind(now: number): void {
    const { name, trust, warnBefore } = this.#plan
    for (const end of this.#reminders.due(endsOf(this.#view?.path ?? [], trust.pins), now, warnBefore)) {
      const notAfter = new Date(end.notAfter).toISOString()
      const fields = { upstream: name, [end.kind]: end.name, notAfter, daysLeft: daysLeft(end.notAfter, now) }
      this.#limited('warn', `${name} ends ${end.key}`, fields, `a ${end.kind} of the broker ends soon`)
    }
  }

  /** Made once for each chain: handshakes are many and chains are few. */
  #viewOf(path: Verdict['path']): View {
    if (this.#view?.path === path) return this.#view
    return (this.#view = {
      path,
      notAfter: path.map((certificate) => certificate.validToDate.getTime()),
      labels: path.map((certificate) => shortPin(pinOf(certificate))),
      inUse: pinsIn(path, this.#plan.trust.pins).map(({ pin }) => pin),
    })
  }

  /** Counted each time, written once for each server and leaf. */
  #report(server: string, { reported, path, servedPins }: Verdict): void {
    if (reported === undefined) return
    const { name: upstream } = this.#plan
    this.#metrics.pinMismatchReported(upstream, reported.verdict)
    const key = `${server} ${path[0]?.fingerprint256}`
    if (!this.#isNews(key)) return
    const served = servedPins.map(({ pin, subject, position }) => ({ pin, subject, position }))
    this.#limited('error', `report ${key}`, { upstream, server, ...reported, served }, message)
  }

  /** Written once for each server, leaf and sentence. */
  #remark(server: string, path: Verdict['path'], remarks: readonly string[]): void {
    const key = `${server} ${path[0]?.fingerprint256} ${remarks.join()}`
    if (!this.#isNews(key)) return
    const fields = { upstream: this.#plan.name, server, remarks }
    this.#limited('warn', `remarks ${server}`, fields, 'broker trusted, though something is missing')
  }

  #isNews(key: string): boolean {
    if (this.#reported.has(key)) return false
    if (this.#reported.size >= mostReported) this.#reported.clear()
    this.#reported.add(key)
    return true
  }
}

const message = 'broker let through against its pins, for pinMode is report'
