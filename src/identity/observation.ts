// What is seen of a device when it connects: the traits by which it may be told from somebody in its place.

/** What a device's SYN says of its stack and of the way it took. */
export interface SynFacts {
  /** Window, MSS, scale and order of options, as one text. */
  readonly profile: string
  /** Routers the SYN went through, by its time to live. */
  readonly hops: number
  /** Sender of the frame that carried it, where the kernel tells. */
  readonly mac?: string | undefined
}

/** Traits that are compared as texts. */
export const traits = ['mac', 'address', 'syn', 'hops', 'ja4', 'profile', 'login'] as const
export type Trait = (typeof traits)[number]

export type Traits = { readonly [Name in Trait]?: string | undefined }

/** One CONNECT, as far as it tells who sent it. */
export interface Observation {
  /** Whose client identifiers: those of one upstream, for there they take each other's sessions over. */
  readonly realm: string
  readonly clientId: string
  readonly listener: string
  /** Milliseconds since 1970. */
  readonly at: number
  readonly traits: Traits
  /** Sender of the frame with the SYN; `traits.mac` is what the neighbour table has for the address. */
  readonly frameMac?: string | undefined
  /** Least round-trip time of the connection so far, in milliseconds. */
  readonly roundTrip?: number | undefined
}

/** The name a device goes by in the ledger. Neither half of it can hold a line feed that would matter: realms have none. */
export function keyOf(realm: string, clientId: string): string {
  return `${realm}\n${clientId}`
}
