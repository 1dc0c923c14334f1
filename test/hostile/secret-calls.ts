import type { Search } from './search.ts'

/** What of programs must be kept to be restored and repeated, and what those see who have the scope `program`. */
const PROGRAM =
  /^state: (?:programs|results)\/|^(?:agent --json program ls|the answer of program\.list|the session of admin)$/

/** A program with secrets that is taken. */
export function programWithSecrets(search: Search) {
  const nodeEnv = search.plantFor(PROGRAM, 'an option of a program')
  return {
    name: 'kept',
    preset: 'node',
    options: { node: '/bin/sleep', entry: '600', nodeEnv },
    environment: { API_KEY: search.plantFor(PROGRAM, 'the environment of a program that is put') },
    autostart: false,
  }
}

interface SecretCall {
  method: 'program.put' | 'crontab.put'
  params: object
  /** The error. */
  expect: string
  /** Only with the right to every user it gets as far as that. */
  needsUsers: boolean
}

/** Programs and entries with secrets that are refused, one way or another. */
export function refusedWithSecrets(search: Search): SecretCall[] {
  const secret = (where: string) => search.plant(where)
  const variable = (where: string, end = '') => ({ API_KEY: `${secret(where)}${end}` })
  const program = (expect: string, definition: object): SecretCall => ({
    method: 'program.put',
    params: { definition: { name: 'more', ...definition } },
    expect,
    needsUsers: false,
  })
  const entry = (expect: string, fields: object): SecretCall => ({
    method: 'crontab.put',
    params: { entry: { name: 'job', user: 'nosuchuser', schedule: '0 4 * * *', command: 'true', ...fields } },
    expect,
    needsUsers: expect !== 'FORBIDDEN',
  })
  const preset = 'node'
  return [
    program('FORBIDDEN', {
      command: '/bin/sleep 600',
      environment: variable('an environment that is refused'),
    }),
    program('PROGRAM_INVALID', { environment: variable('an environment of two lines', '\n') }),
    program('PROGRAM_INVALID', { environment: variable('an environment without a command') }),
    program('PROGRAM_INVALID', { environment: [secret('an environment of a wrong form')] }),
    program('PROGRAM_INVALID', { preset, options: { nosuch: secret('an option that there is not') } }),
    program('PROGRAM_INVALID', { preset, options: { nodeEnv: `${secret('a wrong option')} !` } }),
    entry('FORBIDDEN', { env: variable('an env that is refused'), user: 'root' }),
    entry('CRON_UNAVAILABLE', {
      env: variable('an env for nobody'),
      command: `echo ${secret('a command for nobody')}`,
    }),
    entry('ENTRY_INVALID', { env: variable('an env of two lines', '\n') }),
    entry('ENTRY_INVALID', { command: `${secret('a command with a CR')}\r` }),
    entry('ENTRY_INVALID', { preset: 'backup-files', options: { nosuch: secret('an option of an entry') } }),
  ]
}
