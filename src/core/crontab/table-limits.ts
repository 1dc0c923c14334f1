// What both `crontab` programs and daemons refuse as a whole: told before anything is written.
import { bare, linesOf, readLine } from './table-lines.ts'

/** Debian's `crontab` counts every line that it is given, cronie the jobs. */
const LINES_MAX = 10_000
/** cronie takes no more comments and blank lines in a row. */
const COMMENTS_MAX_BYTES = 32_768

/** Reasons why this would not be installed, in words; `bytes` as they go to `crontab -`. */
export function installObstacles(bytes: Buffer): string[] {
  const obstacles: string[] = []
  const lines = linesOf(bytes.toString('latin1'))
  if (lines.length > LINES_MAX)
    obstacles.push(`it would have ${lines.length} lines, and cron takes ${LINES_MAX}`)
  let comments = 0
  let most = 0
  for (const line of lines) {
    const { kind } = readLine(bare(line))
    comments = kind === 'comment' || kind === 'blank' ? comments + line.length : 0
    most = Math.max(most, comments)
  }
  if (most >= COMMENTS_MAX_BYTES)
    obstacles.push(
      `it would have ${most} bytes of comments and disabled entries in a row, and cronie takes ${COMMENTS_MAX_BYTES}`,
    )
  const last = lines.at(-1) ?? ''
  const { kind } = readLine(bare(last))
  if (last !== '' && !last.endsWith('\n') && kind !== 'comment')
    obstacles.push(
      'its last line has no end: cron refuses that, and does not run that line now; crontab -e, and a newline there, puts it right',
    )
  return obstacles
}
