import type { Check } from './check.ts'
import { type DoctorAgent, type DoctorHost, word } from './host.ts'

export const journal = ({ config }: DoctorHost, { isJournalBehind }: DoctorAgent): Check => ({
  name: 'journal',
  question: 'Are all events on disk?',
  run: () =>
    isJournalBehind()
      ? {
          severity: 'failure',
          message:
            'the disk takes no events: they are in memory alone, and a restart of the agent may lose them',
          fix: `df -h ${word(config.stateDir)}; df -i ${word(config.stateDir)}`,
        }
      : null,
})
