import type { Stats } from 'node:fs'
import { isAbsolute } from 'node:path'
import type { Findings } from './findings.ts'
import { codeOf, follow, identityOf, isUnder, type Trusted, whyOthersMayChange } from './paths.ts'
import type { Place } from './subject.ts'

/** Root, and the user as whom supervisord itself runs; no group, not even root's: in a container anybody may be in it. */
export function trustedOf({ host }: Findings): Trusted {
  return { uids: new Set(host.uid === null ? [0] : [0, host.uid]), gids: new Set() }
}

/**
 * Where a path leads. Its spelling stays where nobody but root can turn it elsewhere, so that links of the system
 * (`/usr/bin/php`) keep working over upgrades; else the real path takes its place.
 * @throws {NodeJS.ErrnoException} when there is nothing
 */
export async function placeOf(findings: Findings, path: string): Promise<Place & { stats: Stats }> {
  const { real, stats, steps } = await follow(path)
  const trusted = trustedOf(findings)
  // what lies at the end may be anybody's: it is what was judged
  const turned = steps.slice(0, -1).find((step) => whyOthersMayChange(step, trusted) !== null)
  const isLinked = steps.some((step) => step.stats.isSymbolicLink())
  const stays = !isLinked || turned === undefined
  if (!stays)
    findings.notes.push(`${path} is used as ${real}: others than root could turn the link elsewhere`)
  const place = { path: stays ? path : real, real, identity: identityOf(stats) }
  findings.places.push(place)
  return { ...place, stats }
}

/**
 * Judges the folder that a program or a cron entry starts in.
 * @param field of the definition or entry
 * @returns the path to use
 */
export async function judgeDirectory(
  findings: Findings,
  directory: string,
  field = 'directory',
): Promise<string> {
  const { directories } = findings.rules
  if (!isAbsolute(directory) || /[%\p{Cc}]/u.test(directory)) {
    if (directories.length === 0) return directory
    findings.deny('directories', `${directory}: write the folder with its full path, without %`, field)
    return directory
  }
  const place = await placeOf(findings, directory).catch((error: unknown) => codeOf(error))
  if (typeof place === 'string') {
    if (directories.length > 0)
      findings.deny('directories', `${directory} cannot be judged (${place})`, field)
    return directory
  }
  if (directories.length === 0) return directory
  if (await isUnder(place.real, directories)) return place.path
  const through = place.real === directory ? '' : `, which is ${place.real},`
  findings.deny('directories', `${directory}${through} lies in none of ${directories.join(', ')}`, field)
  return directory
}
