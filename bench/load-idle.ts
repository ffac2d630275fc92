// Scenario (d)'s load: devices that connect and then say nothing.
import { type Target, openSessions } from './device.ts'
import { serve } from './worker.ts'

export const idle = {
  async open({
    target,
    connections,
  }: {
    readonly target: Target
    readonly connections: number
  }): Promise<void> {
    await openSessions(target, connections)
  },
}

serve(idle)
