import type { Check } from './check.ts'
import type { DoctorAgent } from './host.ts'

export const orphans = ({ orphans: left }: DoctorAgent): Check => ({
  name: 'orphans',
  question: 'Is every process of an earlier supervisord gone?',
  audience: 'all-programs',
  run: () =>
    left().map(({ process, pid }) => ({
      severity: 'failure',
      message: `${process}: pid ${pid} was left by a supervisord that was killed, and runs beside the new one`,
      fix: `kill ${pid}`,
    })),
})
