// The config file holds the policy of the host: an agent that runs as root takes it from root alone.
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'
import { ConfigError } from './config-error.ts'
import { follow, whyOthersMayChange, whyOthersMayWrite } from './core/policy/paths.ts'

const ROOT = { uids: new Set([0]), gids: new Set<number>() }
const isRoot = () => process.getuid?.() === 0

/** @throws {ConfigError} not a file, too long, or not fit for the daemon; what the file system says */
export function readConfigText(
  path: string,
  { asDaemon = false, holds = 'the policy of this host is' }: { asDaemon?: boolean; holds?: string },
): string {
  // what is judged is what is read; a pipe put in its place must not hold us
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stats = fstatSync(file)
    if (!stats.isFile()) throw new ConfigError(`${path}: expected a file`)
    if (stats.size > 1024 * 1024) throw new ConfigError(`${path}: larger than 1 MiB, which no config is`)
    const problem = asDaemon ? ownerProblem(path, stats, holds) : null
    if (problem !== null) throw new ConfigError(problem)
    return readFileSync(file, 'utf8')
  } finally {
    closeSync(file)
  }
}

/** Why an agent that runs as root does not take this file; null when it does, or runs as somebody else. */
function ownerProblem(path: string, stats: Stats, holds: string): string | null {
  const why = isRoot() ? whyOthersMayWrite({ path, stats }, ROOT) : null
  return why && `${why}, and ${holds} in it: chown root ${path}; chmod go-w ${path}`
}

/** What should be put right about the folders above the file: who can write one could put another file there. */
export async function configWarnings(path: string): Promise<string[]> {
  const way = isRoot() ? await follow(path).catch(() => null) : null
  const reasons = way?.steps.slice(0, -1).flatMap((step) => whyOthersMayChange(step, ROOT) ?? []) ?? []
  return [...new Set(reasons)].map(
    (why) => `${why}: others than root could put another config file in the place of ${path}`,
  )
}
