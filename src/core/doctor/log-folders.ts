import { openings } from '../policy/log-folder.ts'
import { codeOf, follow } from '../policy/paths.ts'
import type { Check, Fault } from './check.ts'
import { type DoctorHost, word } from './host.ts'

export const logFolders = ({ config, discover }: DoctorHost): Check => ({
  name: 'log-folders',
  question: 'Can log files be put where the policy allows, with nobody turning them elsewhere?',
  audience: 'all-programs',
  async run() {
    const { logDirectories, allowUserLogDirectories } = config.policy
    const uid = (await discover()).supervisord?.uid ?? 0
    const trusted = { uids: new Set([0, uid]), gids: new Set<number>() }
    const each = await Promise.all(
      logDirectories.map(async (folder): Promise<Fault[]> => {
        const way = await follow(folder).catch((error: unknown) => codeOf(error))
        if (typeof way === 'string' || !way.stats.isDirectory()) return [missing(folder, way)]
        if (allowUserLogDirectories) return []
        return (await openings(way.real, trusted)).map(({ why, cure, lasting }) => ({
          severity: 'warning',
          message: `programs with logs in ${folder} are refused: supervisord opens logs as root, and ${why}`,
          ...(lasting === undefined ? {} : { evidence: lasting }),
          fix: cure,
        }))
      }),
    )
    return each.flat()
  },
})

function missing(folder: string, way: unknown): Fault {
  const why = typeof way === 'string' ? way : 'it is no folder'
  const fix = why === 'ENOENT' ? { fix: `install -d -m 755 -o root -g root ${word(folder)}` } : {}
  return {
    severity: 'warning',
    message: `programs with logs in ${folder} are refused: the folder cannot be judged (${why})`,
    ...fix,
  }
}
