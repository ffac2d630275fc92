// The contract every detector fulfils: it watches some packet types of one session and returns findings.

import { z } from 'zod'
import type { Packet } from '../mqtt/decode.ts'
import type { PacketName } from '../mqtt/packet.ts'
import type { Finding } from './finding.ts'

/** What judges may know of a session. */
export interface Subject {
  readonly listener: string
  readonly transport: 'plain' | 'tls'
  /** The device's address as the proxy sees it. */
  readonly address: string
  readonly clientId: string
  /** 3, 4 or 5. */
  readonly version: number
  /** Whether CONNECT carries a user name, and a password. */
  readonly hasUsername: boolean
  readonly hasPassword: boolean
}

/** Synchronous, without I/O; state lives in `Memory`, one a session; never decides. */
export interface Detector<Memory = unknown> {
  readonly kind: string
  /** PUBLISH streams through and is not decoded; who judges it reads it in place. */
  readonly watches: readonly Exclude<PacketName, 'publish'>[]
  begin(subject: Subject): Memory
  /** In place of `see` for CONNECT, by those to whom the subject tells all of it: decoding costs more than judging. */
  greet?(subject: Subject): Finding | undefined
  see(packet: Packet, memory: Memory, subject: Subject): Finding | undefined
}

/** What policy does about the findings of a detector: tell, refuse the packet's sender, or close without a word. */
const action = z.enum(['report', 'refuse']).default('report').meta({
  description: 'What to do about a finding: `report` logs and counts it, `refuse` also ends the session.',
})

/** A detector's kind, options and factory, joined so that the registry and the schema come from one place. */
export function define<Kind extends string, Shape extends z.ZodRawShape>(
  kind: Kind,
  description: string,
  shape: Shape,
  make: (options: z.output<z.ZodObject<Shape>>) => Omit<Detector, 'kind'>,
): Definition<Kind, Shape> {
  const options = z.strictObject({ kind: z.literal(kind), action, ...shape }).meta({ description })
  return {
    kind,
    options,
    create: (given) => ({ kind, ...make(z.object(shape).parse(given)) }),
  }
}

export interface Definition<Kind extends string, Shape extends z.ZodRawShape> {
  readonly kind: Kind
  readonly options: z.ZodObject<{ kind: z.ZodLiteral<Kind>; action: typeof action } & Shape, z.core.$strict>
  create(given: Readonly<Record<string, unknown>>): Detector
}
