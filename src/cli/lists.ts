// The revocation lists that proxy.yaml names, for commands that judge a broker without the proxy.
import { readBounded } from '../config/files.ts'
import type { Config } from '../config/schema.ts'
import { compileUpstream } from '../config/snapshot.ts'
import type { UpstreamPlan } from '../config/snapshot.ts'
import { messageOf } from '../errors.ts'
import { CrlKeeper } from '../tls/crl-keeper.ts'
import { readKnown } from '../tls/known.ts'

/**
 * These upstreams as a running proxy would have them: with the pins that were accepted, and with their lists, fetched anew
 * where the state has none in date. `warn` is told of what is missing for that.
 *
 * @throws {PulsewardError} where a file is not what it should be.
 */
export async function compileAlone(
  { upstreams, state }: Config,
  names: readonly string[],
  warn: (warning: string) => void,
): Promise<UpstreamPlan[]> {
  const chosen = Object.entries(upstreams).filter(([name]) => names.includes(name))
  const { warnings, ...known } = await readKnown(state)
  for (const { warning } of warnings) warn(warning)
  using keeper = new CrlKeeper({
    read: readBounded,
    readOnly: true,
    log: (level, fields, message) => {
      if (level !== 'info') warn(`${message}: ${textOf(fields)}`)
    },
  })
  const places = chosen.flatMap(([, { tls }]) => tls.revocation.crl)
  const { sourceOf, fill } = await keeper.prepare(places, state)
  const plans = chosen.map(([name, upstream]) =>
    compileUpstream(name, upstream, { known, listsOf: sourceOf, state }),
  )
  const uses = plans.flatMap(({ trust }) =>
    (trust.revocation?.lists.sources ?? []).map((source) => ({
      source,
      anchors: trust.anchors,
      refresh: Infinity,
    })),
  )
  await fill(uses)
  return plans
}

function textOf(fields: object): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name} ${messageOf(value)}`)
    .join(', ')
}
