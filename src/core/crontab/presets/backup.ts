// One backup a run, in a file of its own by date; the newest ones stay. For /bin/sh without any extension.
import { quoted } from './shell.ts'

interface Place {
  folder: string
  name: string
  keep: number
}

interface Made {
  /** As in `.sql.gz`. */
  ending: string
  /** Writes the backup to its standard output. */
  command: string
  /** What its output goes through. */
  filter?: string
  /** The highest status that still means a good backup. */
  statusMax?: number
}

/** Two digits: what is deleted has the form of a name that was given here, and no other file has. */
const DIGITS = 'd=[0-9][0-9]'
const DATED = '$d$d$d$d-$d$d$d'

/**
 * A line that makes a backup, and deletes the oldest ones when it is a good one. Until then it is a file with `.part` at
 * its end. The files are for their owner alone, and none that is there is ever written over.
 */
export function backupLine({ folder, name, keep }: Place, { ending, statusMax = 0, ...made }: Made): string {
  return [
    `umask 077; set -C; ${DIGITS}; b=${quoted(`${folder}/${name}-`)}`,
    // of a run that was cut off
    `rm -f "$b"${DATED}${ending}.part`,
    `f="$b$(date -u +%Y%m%d-%H%M%S)${ending}"`,
    `${written(made)} && [ "$s" -le ${statusMax} ] && mv "$f.part" "$f" || { rm -f "$f.part"; echo "no backup was made (status $s)" >&2; exit 1; }`,
    `set -- "$b"${DATED}${ending}; while [ $# -gt ${keep} ]; do rm -f "$1"; shift; done`,
  ].join('; ')
}

/** Leaves the status of the command in `s`, which a pipe would swallow. */
function written({ command, filter }: Pick<Made, 'command' | 'filter'>): string {
  if (filter === undefined) return `{ ${command} >"$f.part"; s=$?; }`
  return `s=$({ { ${command} 3>&-; echo $? >&3; } | ${filter} >"$f.part" 3>&-; } 3>&1)`
}

/** A run that hangs does not keep all later ones from starting for ever. */
export const BACKUP_LIMITS = { noOverlap: true, timeoutMs: 86_400_000 }
