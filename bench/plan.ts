// How much work each scenario is: the sizes and windows of a full run and of a quick one.

/** Bytes of payload in every PUBLISH; topic and header make a frame of 84. */
export const PAYLOAD = 64

export interface Plan {
  /** No scenario starts after this much of the run has passed, in milliseconds. */
  readonly budget: number
  readonly paced: {
    readonly connections: number
    readonly rate: number
    readonly warmUp: number
    readonly window: number
  }
  readonly flood: { readonly connections: number; readonly warmUp: number; readonly window: number }
  readonly storm: { readonly connections: number; readonly concurrency: number; readonly warmUp: number }
  readonly idle: { readonly connections: number; readonly settle: number; readonly rounds: number }
  readonly pingPong: {
    readonly connections: number
    readonly rate: number
    readonly warmUp: number
    readonly window: number
  }
}

const FULL: Plan = {
  budget: 720_000,
  paced: { connections: 500, rate: 8_000, warmUp: 2_000, window: 8_000 },
  flood: { connections: 20, warmUp: 1_000, window: 3_000 },
  // A proxy runs for months: its first seconds, in which its code is still being compiled, are not what is asked for.
  storm: { connections: 2_000, concurrency: 20, warmUp: 2_500 },
  // Memory hardly differs between rounds, and these 2,000 connections take long to open.
  idle: { connections: 2_000, settle: 5_000, rounds: 1 },
  pingPong: { connections: 20, rate: 200, warmUp: 3_000, window: 10_000 },
}

const QUICK: Plan = {
  budget: 105_000,
  paced: { connections: 500, rate: 8_000, warmUp: 1_000, window: 2_000 },
  flood: { connections: 20, warmUp: 500, window: 1_500 },
  storm: { connections: 400, concurrency: 20, warmUp: 100 },
  idle: { connections: 500, settle: 2_000, rounds: 1 },
  pingPong: { connections: 20, rate: 200, warmUp: 500, window: 2_500 },
}

export function planFor(quick: boolean): Plan {
  return quick ? QUICK : FULL
}
