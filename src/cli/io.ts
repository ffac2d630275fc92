// What a command may touch of the world, handed to it by main, and how it says that it was called wrongly.
import { userInfo } from 'node:os'
import { PulsewardError, messageOf } from '../errors.ts'

/** The outside of a command; texts are written as they are, line ends included. */
export interface Io {
  readonly stdout: (text: string) => void
  readonly stderr: (text: string) => void
  readonly env: NodeJS.ProcessEnv
  /** The directory that relative paths begin at. */
  readonly cwd: string
}

/** The command line makes no sense; main prints it with the way to the help, and exits with 2. */
export class UsageError extends PulsewardError {
  constructor(message: string, hint?: string) {
    super('usage', 'config', message, hint === undefined ? {} : { hint })
    this.name = 'UsageError'
  }

  /** What `util.parseArgs` threw, in the voice of this program. */
  static of(thrown: unknown, command: string): UsageError {
    const [sentence = ''] = messageOf(thrown).split('. ')
    const message = sentence.charAt(0).toLowerCase() + sentence.slice(1)
    return new UsageError(message, `see "pulseward ${command} --help"`)
  }
}

/** Who does this, by the operating system; whoever is behind sudo, too. */
export function userName(): string {
  const sudo = process.env['SUDO_USER']
  let user: string
  try {
    user = userInfo().username
  } catch {
    user = `uid ${process.getuid?.() ?? 'unknown'}` // a container's user may have no name
  }
  return sudo === undefined || sudo === user ? user : `${user} (${sudo})`
}
