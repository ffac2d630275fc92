// The parts of proxy.yaml that are well-formed, so that they are checked further whatever is wrong elsewhere.
import type { Address } from './endpoint.ts'
import { read } from './issues.ts'
import { name } from './scalars.ts'
import { configSchema, listenerSchema, upstreamSchema } from './schema.ts'
import type { ListenerConfig, UpstreamConfig } from './schema.ts'

/** A well-formed part and where it stands. */
export interface Part<Value> {
  readonly path: readonly PropertyKey[]
  readonly value: Value
  /** The options the file itself gives. */
  readonly given: ReadonlySet<string>
}

export interface Parts {
  readonly listeners: readonly Part<ListenerConfig>[]
  readonly upstreams: readonly Part<UpstreamConfig>[]
  /** Every name under `upstreams` that can be one, those of malformed ones too. */
  readonly upstreamNames: readonly string[]
  /** Every text after an `upstream:`, those of malformed listeners too. */
  readonly wanted: ReadonlySet<string>
  readonly metrics: Address | undefined
  readonly state: string | undefined
}

/** Takes apart what the YAML of the file holds. */
export function partsOf(root: Readonly<Record<string, unknown>>): Parts {
  const listeners = Array.isArray(root['listeners']) ? root['listeners'] : []
  const upstreams = Object.entries(mapping(root['upstreams'])).filter(([key]) => name.safeParse(key).success)
  const metrics = read(configSchema.shape.metrics, root['metrics'])
  const state = read(configSchema.shape.state, root['state'])
  return {
    listeners: listeners.flatMap((raw: unknown, index) => part(listenerSchema, raw, ['listeners', index])),
    upstreams: upstreams.flatMap(([key, raw]) => part(upstreamSchema, raw, ['upstreams', key])),
    upstreamNames: upstreams.map(([key]) => key),
    wanted: new Set(listeners.map((raw: unknown) => String(mapping(raw)['upstream']))),
    metrics: 'value' in metrics ? metrics.value.bind : undefined,
    state: 'value' in state ? state.value : undefined,
  }
}

/** The value if it is a mapping, or an empty one. */
export function mapping(value: unknown): Readonly<Record<string, unknown>> {
  const isMapping = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isMapping ? (value as Record<string, unknown>) : {}
}

function part<Schema extends typeof listenerSchema | typeof upstreamSchema>(
  schema: Schema,
  raw: unknown,
  path: readonly PropertyKey[],
): Part<ReturnType<Schema['parse']>>[] {
  const result = schema.safeParse(raw)
  return result.success
    ? [{ path, value: result.data as ReturnType<Schema['parse']>, given: new Set(Object.keys(mapping(raw))) }]
    : []
}
