// The log: JSON lines through pino, every field redacted and printable before it gets there.

import { pino } from 'pino'
import type { DestinationStream } from 'pino'
import type { LineLimiter } from './limit.ts'
import { redact, redactText } from './redact.ts'

export type Level = 'debug' | 'info' | 'warn' | 'error'
export type Fields = Readonly<Record<string, unknown>>
type Write = (fields: Fields, message: string) => void
/** For lines that a stranger can provoke: limited by `kind`, a code of ours or an address. */
export type Limited = (level: Level, kind: string, fields: Fields, message: string) => void

/** Writes lines. Strings from devices and brokers need no care by the caller; payloads do not belong here at all. */
export interface Log {
  readonly debug: Write
  readonly info: Write
  readonly warn: Write
  readonly error: Write
  /** A log whose every line also carries `fields`. It follows the level of the log it came from. */
  child(fields: Fields): Log
}

export interface RootLog extends Log {
  /** Takes a new level, for this log and all its children. */
  setLevel(level: Level): void
}

interface LogOptions {
  readonly level: Level
  /** Where lines go; by default standard output. */
  readonly destination?: DestinationStream
  /** Called for every line lost because the reader of standard output is too slow. */
  readonly onDrop?: () => void
}

/** Lines that wait for a slow reader; beyond it they are dropped and counted rather than heaped up. */
const WAITING_BYTES = 8 * 1024 * 1024

/** Lines go out together once there is this much of them, or this many milliseconds have passed. */
const BATCH_BYTES = 12 * 1024
const FLUSH_EVERY = 200

export function createLog({ level, destination, onDrop = () => undefined }: LogOptions): RootLog {
  const writer = pino(
    {
      level,
      // No process id and host name in every line: whatever collects the lines knows them better.
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination ?? standardOutput(onDrop),
  )
  return Object.assign(logWith({}), {
    setLevel(next: Level) {
      writer.level = next
    },
  })

  function logWith(bindings: Fields): Log {
    const isRoot = Object.keys(bindings).length === 0
    const write =
      (at: Level): Write =>
      (fields, message) => {
        if (!writer.isLevelEnabled(at)) return
        writer[at](redact(isRoot ? fields : { ...bindings, ...fields }), redactText(message))
      }
    return {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
      child: (fields) => logWith({ ...bindings, ...fields }),
    }
  }
}

/**
 * `log`, with lines of one kind limited: what is over the limit is counted in `count`, and the next line that may be
 * written is preceded by one that says how many are missing.
 */
export function limitLog(log: Log, limiter: LineLimiter, count: { logLinesSuppressed: number }): Limited {
  return (level, kind, fields, message) => {
    const suppressed = limiter.admit(kind)
    if (suppressed === undefined) {
      count.logLinesSuppressed += 1
      return
    }
    if (suppressed > 0) log[level]({ kind, suppressed }, `suppressed ${suppressed} similar lines`)
    log[level](fields, message)
  }
}

/** Asynchronous, so that a reader that stopped reading never stops the proxy; flushed by pino when the process exits. */
function standardOutput(onDrop: () => void): DestinationStream {
  const stream = pino.destination({
    dest: 1,
    sync: false,
    maxLength: WAITING_BYTES,
    minLength: BATCH_BYTES,
    periodicFlush: FLUSH_EVERY,
  })
  stream.on('drop', onDrop)
  // A full disk or a reader that went away costs log lines, never the proxy.
  stream.on('error', onDrop)
  return stream
}
