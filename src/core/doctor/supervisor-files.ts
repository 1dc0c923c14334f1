import { stat } from 'node:fs/promises'
import { groupId } from '../host/group-id.ts'
import { Accounts } from '../policy/accounts.ts'
import { readConfigTree } from '../supervisor/config-tree.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import { judgeTree } from '../supervisor/verdict.ts'
import type { HostFacts } from '../supervisor/verdict-keys.ts'
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
    const tree = await readConfigTree(mainFile, expansions)
    const refused = (await judgeTree(tree, { expansions, facts: factsOf(found) })).map(
      ({ file, line, header, key, message }): Fault => ({
        severity: 'failure',
        message: `${file}:${line}: ${header === '' ? '' : `[${header}] `}${key === null ? '' : `${key}: `}${message}; supervisord refuses all of its files with it at the next reread or restart`,
        fix: `editor +${line} ${word(file)}`,
      }),
    )
    const isTold = new Set(tree.errors.map(({ file, line, message }) => `${file}:${line}: ${message}`))
    const others = problems
      .filter((text) => !isTold.has(text))
      .map((message): Fault => ({ severity: 'warning', message }))
    return [...refused, ...others]
  },
})

function factsOf({ supervisord }: Discovery): HostFacts {
  const accounts = new Accounts()
  return {
    isFolder: async (path) => (await stat(path).catch(() => null))?.isDirectory() ?? false,
    findUser: (user) => accounts.find(user),
    hasGroup: async (group) => /^\d+$/.test(String(group)) || groupId(String(group)) !== undefined,
    cwd: supervisord?.cwd ?? null,
    home: supervisord?.environment?.['HOME'] ?? null,
  }
}
