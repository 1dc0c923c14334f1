import { follow, type Step, type Trusted, whyOthersMayChange, whyOthersMayWrite } from './paths.ts'

/** A folder by which others could choose what root writes to. */
export interface Opening {
  why: string
  /** The command that ends it, as root pastes it. */
  cure: string
  /** What more it takes to keep it so. */
  lasting?: string
}

/** On Ubuntu the group of rsyslog may write it, and each boot sets that mode again; a file of the same name wins. */
const VAR_LOG =
  "where a boot sets its mode again, as on Ubuntu, also: echo 'z /var/log 1775 root syslog -' > /etc/tmpfiles.d/00rsyslog.conf"

/**
 * Whatever is open on the way to a log folder, component by component. The folder itself may not be open even when it is
 * sticky: a link could lie there first.
 * @param real without any symbolic link
 */
export async function openings(real: string, trusted: Trusted): Promise<Opening[]> {
  const { steps } = await follow(real)
  return steps.flatMap((step, index) => openingOf(step, index === steps.length - 1, trusted) ?? [])
}

/** @param isLast it is the log folder itself */
export function openingOf(step: Step, isLast: boolean, trusted: Trusted): Opening | null {
  const why = isLast ? whyOthersMayWrite(step, trusted) : whyOthersMayChange(step, trusted)
  if (why === null) return null
  const { path, stats } = step
  const name = /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`
  const owned = trusted.uids.has(stats.uid) ? [] : [`chown root ${name}`]
  const isWritable =
    (stats.mode & 0o002) !== 0 || ((stats.mode & 0o020) !== 0 && !trusted.gids.has(stats.gid))
  const isOpen = isWritable && (isLast || (stats.mode & 0o1000) === 0)
  const closed = isOpen ? [`chmod ${isLast ? 'go-w' : '+t'} ${name}`] : []
  const cure = [...owned, ...closed].join(' && ')
  return path === '/var/log' && !isLast && isOpen ? { why, cure, lasting: VAR_LOG } : { why, cure }
}
