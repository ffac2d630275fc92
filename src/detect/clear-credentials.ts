// Notices a device that sends a user name or password where anybody on its network can read it.

import { define } from './detector.ts'

export const clearCredentials = define(
  'clear-credentials',
  'Notices CONNECT with a user name or password over a connection without TLS.',
  {},
  () => ({
    watches: ['connect'],
    begin: () => undefined,
    see: () => undefined,
    greet({ transport, hasUsername, hasPassword }) {
      if (transport === 'tls' || !(hasUsername || hasPassword)) return undefined
      return {
        detector: 'clear-credentials',
        severity: 'info',
        summary: 'a device sent its credentials without encryption',
        evidence: { hasPassword },
        references: ['ATT&CK T1040', 'R19'],
      }
    },
  }),
)
