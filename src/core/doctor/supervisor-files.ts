import { Accounts } from '../policy/accounts.ts'
import { hostFacts } from '../supervisor/host-facts.ts'
import { judgeTree } from '../supervisor/verdict.ts'
import { type Check, type Fault, UNASKED } from './check.ts'
import { type DoctorHost, word } from './host.ts'

export const supervisorFiles = ({ discover, pid, configFile }: DoctorHost): Check => ({
  name: 'supervisor-files',
  question: 'Can the configuration files of supervisord be found and read, and would it take them?',
  audience: 'all-programs',
  async run() {
    const found = await discover()
    const { mainFile, expansions, problems } = found
    if (mainFile === null) {
      if ((await pid()) === null && problems.every((text) => text.includes('/proc'))) return UNASKED
      return problems.map((message) => ({
        severity: 'failure' as const,
        message,
        fix: `grep -n -A4 '^supervisor:' ${word(configFile)}; ps -o pid,args -C supervisord`,
      }))
    }
    const refused = (await judgeTree(found, { expansions, facts: hostFacts(found, new Accounts()) })).map(
      ({ file, line, header, key, message }): Fault => ({
        severity: 'failure',
        message: `${file}:${line}: ${header === '' ? '' : `[${header}] `}${key === null ? '' : `${key}: `}${message}; supervisord refuses all of its files with it at the next reread or restart`,
        fix: `editor +${line} ${word(file)}`,
      }),
    )
    const isTold = new Set(found.errors.map(({ file, line, message }) => `${file}:${line}: ${message}`))
    const others = problems
      .filter((text) => !isTold.has(text))
      .map((message): Fault => ({ severity: 'warning', message }))
    return [...refused, ...others]
  },
})
