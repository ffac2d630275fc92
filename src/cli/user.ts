// Who runs a command, for the records of what administrators did.
import { userInfo } from 'node:os'

/** By the operating system; whoever is behind sudo, too. */
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
