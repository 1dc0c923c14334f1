// Whether cron will do with an entry what it says, on every daemon. Who may have it is for the policy.
import {
  commandProblem,
  nameProblem,
  userProblem,
  valueProblem,
  variableProblem,
  variablesProblem,
} from './entry-text.ts'
import { parseSchedule } from './schedule.ts'

export interface EntryIssue {
  /** The field, as in `env.NAME`. */
  path: string
  message: string
}

/** What is judged of an entry, once its preset is filled in. */
export interface EntryFields {
  id?: string | undefined
  name: string
  user: string
  schedule: string
  command: string
  env?: Readonly<Record<string, string>> | undefined
}

const ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/

/** All that is wrong with an entry, for the `data.issues` of ENTRY_INVALID; empty when nothing is. */
export function entryIssues({ id, name, user, schedule, command, env = {} }: EntryFields): EntryIssue[] {
  const parsed = parseSchedule(schedule)
  return [
    ...issue(
      'id',
      id === undefined || ID.test(id) ? null : 'has other than letters, digits, _ and -, or over 32',
    ),
    ...issue('name', nameProblem(name)),
    ...issue('user', userProblem(user)),
    ...(parsed.kind === 'problem' ? [{ path: 'schedule', message: parsed.problem }] : []),
    ...issue('command', commandProblem(command)),
    ...issue('env', variablesProblem(env)),
    ...Object.entries(env).flatMap(([variable, value]) => [
      ...issue(`env.${printable(variable)}`, variableProblem(variable)),
      ...issue(`env.${printable(variable)}`, valueProblem(value), 'its value '),
    ]),
  ]
}

function issue(path: string, wrong: string | null, what = 'it '): EntryIssue[] {
  return wrong === null ? [] : [{ path, message: what + wrong }]
}

/** A name that is refused may hold anything. */
function printable(text: string): string {
  return JSON.stringify(text.slice(0, 64)).slice(1, -1)
}
