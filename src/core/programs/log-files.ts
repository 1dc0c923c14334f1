import { type Expansions, expand } from '../supervisor/config-expand.ts'
import type { ConfigSection } from '../supervisor/config-file.ts'
import { processNames } from '../supervisor/config-names.ts'
import { strip } from '../supervisor/config-text.ts'
import { readBoolean, readBytes, readInteger } from '../supervisor/config-values.ts'

const MAX_PROCESSES = 1000
const PROGRAMS = ['program', 'fcgi-program', 'eventlistener']
const WORDS = ['none', 'off', 'auto', 'syslog']

/** A log file that supervisord writes. */
export interface WrittenLog {
  path: string
  /** `stdout_logfile` or `stderr_logfile`; `logfile` of supervisord's own. */
  key: string
  header: string
  file: string
  /** The number of the process. */
  process: number
  /** It never rotates. */
  isKept: boolean
}

/**
 * The log files of a section, one for each process and channel. What cannot be told is left out.
 * @param groups the `[group:x]`; other sections are passed over
 */
export function logsOf(
  section: ConfigSection,
  groups: readonly ConfigSection[],
  expansions: Expansions,
): WrittenLog[] {
  const { keys, header, file, type } = section
  const own = { header, file }
  if (header === 'supervisord') {
    const { value } = expand(keys.get('logfile') ?? '', expansions)
    const isKept = readBytes(keys.get('logfile_maxbytes') ?? '50MB') === 0
    return value.startsWith('/') ? [{ ...own, path: value, key: 'logfile', process: 0, isKept }] : []
  }
  if (!PROGRAMS.includes(type)) return []
  const start = readInteger(keys.get('numprocs_start') ?? '0') ?? 0
  const count = Math.min(readInteger(keys.get('numprocs') ?? '1') ?? 1, MAX_PROCESSES)
  const [group] = processNames(section, groups, expansions).processes
  const names = {
    program_name: strip(section.name),
    group_name: group?.group ?? strip(section.name),
  }
  const isJoined = readBoolean(keys.get('redirect_stderr') ?? 'false') ?? false
  const logs: WrittenLog[] = []
  for (const key of isJoined ? ['stdout_logfile'] : ['stdout_logfile', 'stderr_logfile']) {
    const text = keys.get(key) ?? 'AUTO'
    const isKept = readBytes(keys.get(`${key}_maxbytes`) ?? '50MB') === 0
    if (WORDS.includes(text.toLowerCase()) || text.startsWith('/dev/')) continue
    for (let number = start; number < start + count; number++) {
      const { value, unknown } = expand(text, expansions, names, { process_num: number, numprocs: count })
      if (unknown.length === 0) logs.push({ ...own, path: value, key, process: number, isKept })
    }
  }
  return logs
}
