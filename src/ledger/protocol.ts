// What the proxy and the thread that writes its ledger tell each other.

import type { Order } from '../identity/ledger.ts'

/** From the proxy. */
export type Request =
  | {
      readonly kind: 'write'
      /** Key and record, in turns. */
      readonly kept: readonly string[]
      readonly gone: readonly string[]
      /** Orders up to this one are carried out. */
      readonly obeyed: number
    }
  | {
      readonly kind: 'begin'
      readonly listener: string
      /** Milliseconds since 1970. */
      readonly since: number
    }
  | { readonly kind: 'close' }

/** An order of an administrator, with its place among all. */
export interface NumberedOrder extends Order {
  readonly id: number
  readonly by: string
}

/** From the thread. */
export type Report =
  | { readonly kind: 'records'; readonly records: readonly string[] }
  | {
      readonly kind: 'ready'
      /** Since when each listener is known; milliseconds since 1970. */
      readonly listeners: Readonly<Record<string, number>>
      readonly damage: { readonly error: string; readonly movedTo: string } | undefined
    }
  | { readonly kind: 'orders'; readonly orders: readonly NumberedOrder[] }
  | { readonly kind: 'written'; readonly bytes: number }
  | { readonly kind: 'failed'; readonly error: string }
  | { readonly kind: 'closed' }

export interface WriterData {
  readonly path: string
}
