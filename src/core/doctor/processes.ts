import { type Check, type Fault, UNASKED } from './check.ts'
import { type DoctorHost, type SeenProcess, word } from './host.ts'

export const processes = ({ pid, processes: all }: DoctorHost): Check => ({
  name: 'processes',
  question: 'Do all processes run that should, without crashing over and over?',
  async run() {
    if ((await pid()) === null) return UNASKED
    return (await all()).flatMap((one) => faultOf(one) ?? [])
  },
})

function faultOf(one: SeenProcess): Fault | null {
  const { name, program, state, spawnError } = one
  const trouble = troubleOf(one)
  if (trouble === null) return null
  const logTail = one.logTail()
  return {
    ...trouble,
    program,
    ...(spawnError === null ? {} : { evidence: `supervisord says: ${spawnError}` }),
    ...(logTail === null ? {} : { logTail: `its log ends with:\n${logTail}` }),
    fix: `agent logs -n 50 --both ${word(name)}; agent ${state === 'RUNNING' ? 'restart' : 'start'} ${word(name)}`,
  }
}

function troubleOf({
  name,
  state,
  pid,
  isCrashLoop,
}: SeenProcess): Pick<Fault, 'severity' | 'message'> | null {
  if (state === 'FATAL')
    return { severity: 'failure', message: `${name} is FATAL: supervisord has given up on it` }
  if (state === 'RUNNING' && pid === null)
    return { severity: 'failure', message: `${name} is said to be RUNNING, and has no process` }
  if (isCrashLoop) return { severity: 'failure', message: `${name} crashes over and over (${state} now)` }
  if (state === 'BACKOFF')
    return { severity: 'warning', message: `${name} is in BACKOFF: it ended too soon after its start` }
  if (state === 'UNKNOWN') return { severity: 'warning', message: `supervisord does not know how ${name} is` }
  return null
}
