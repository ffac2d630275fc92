// A log that a test can read: every line as it would be written, parsed.

import { createLog, type RootLog } from '../../src/observe/log.ts'
import { eventually } from './wait.ts'

type Line = Readonly<Record<string, unknown>> & { readonly msg: string; readonly level: string }

export class Diary {
  readonly log: RootLog
  readonly all: Line[] = []

  constructor() {
    const destination = { write: (line: string) => void this.all.push(JSON.parse(line) as Line) }
    this.log = createLog({ level: 'debug', destination })
  }

  /** Lines with this message whose fields have these values. */
  lines(message: string, fields: Readonly<Record<string, unknown>> = {}): readonly Line[] {
    const wanted = Object.entries(fields)
    return this.all.filter(
      (line) => line.msg === message && wanted.every(([name, value]) => line[name] === value),
    )
  }

  async line(message: string, fields: Readonly<Record<string, unknown>> = {}): Promise<Line> {
    return await eventually(
      () => `"${message}" ${JSON.stringify(fields)} in the log: ${this.tail()}`,
      () => this.lines(message, fields)[0],
    )
  }

  tail(): string {
    return this.all
      .slice(-15)
      .map((line) => JSON.stringify(line))
      .join('\n')
  }
}
