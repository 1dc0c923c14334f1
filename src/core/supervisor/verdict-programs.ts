// What supervisord 4.2 refuses of programs, groups and listeners, one check for each of its own.
import { readEnvironment } from './config-environment.ts'
import type { Expansions } from './config-expand.ts'
import type { ConfigSection } from './config-file.ts'
import { strip } from './config-text.ts'
import {
  readBoolean,
  readBytes,
  readExitCodes,
  readInteger,
  readList,
  readOctal,
  readRestart,
  readSignal,
} from './config-values.ts'
import type { Fault, HostFacts } from './verdict-keys.ts'
import { Keys } from './verdict-keys.ts'

/** More than supervisord could ever start. */
const MAX_PROCESSES = 10_000
const WORDS = ['none', 'off', 'auto', 'syslog']

const EVENTS = new Set(
  [
    'EVENT PROCESS_STATE PROCESS_STATE_STOPPED PROCESS_STATE_EXITED PROCESS_STATE_STARTING PROCESS_STATE_STOPPING',
    'PROCESS_STATE_BACKOFF PROCESS_STATE_FATAL PROCESS_STATE_RUNNING PROCESS_STATE_UNKNOWN PROCESS_COMMUNICATION',
    'PROCESS_COMMUNICATION_STDOUT PROCESS_COMMUNICATION_STDERR PROCESS_LOG PROCESS_LOG_STDOUT PROCESS_LOG_STDERR',
    'REMOTE_COMMUNICATION SUPERVISOR_STATE_CHANGE SUPERVISOR_STATE_CHANGE_RUNNING SUPERVISOR_STATE_CHANGE_STOPPING',
    'TICK TICK_5 TICK_60 TICK_3600 PROCESS_GROUP PROCESS_GROUP_ADDED PROCESS_GROUP_REMOVED',
  ].flatMap((line) => line.split(' ')),
)

export interface Judging {
  sections: readonly ConfigSection[]
  faults: Fault[]
  facts: HostFacts
  /** `here` and the variables; what is known of a program comes to them. */
  names: Expansions
  hostName: string
  /** Plugins may bring events of their own. */
  hasPlugins: boolean
}

/** Judges all that makes processes. */
export async function judgeGroups(judging: Judging): Promise<void> {
  const { sections } = judging
  const taken = new Set<string>()
  for (const section of sections.filter(({ type }) => type === 'group'))
    for (const header of await judgeGroup(section, judging)) taken.add(header)
  for (const section of sections) {
    if (taken.has(section.header)) continue
    if (section.type === 'program' && hasName(section)) await judgeProgram(section, section.name, judging)
    else if (section.type === 'eventlistener' && hasName(section)) await judgeListener(section, judging)
    else if (section.type === 'fcgi-program' && hasName(section)) await judgeFastCgi(section, judging)
  }
}

/** A header without a colon is no program. */
function hasName({ header }: ConfigSection): boolean {
  return header.includes(':')
}

/** @returns the headers of the programs that are in the group */
async function judgeGroup(section: ConfigSection, judging: Judging): Promise<string[]> {
  if (!hasName(section)) return []
  const keys = new Keys(section, judging)
  judgeName(keys, null, section.name)
  keys.integer('priority')
  const taken: string[] = []
  for (const program of readList(keys.text('programs') ?? '')) {
    const found = judging.sections.filter(
      ({ header }) => header === `program:${program}` || header === `fcgi-program:${program}`,
    )
    const [member] = found
    if (!member) keys.fault('programs', `there is no program ${program}`)
    else if (found.length > 1) keys.fault('programs', `${program} is a program and a fcgi-program`)
    else {
      taken.push(member.header)
      await judgeProcesses(member, strip(section.name), judging)
    }
  }
  return taken
}

async function judgeProgram(section: ConfigSection, group: string, judging: Judging): Promise<void> {
  new Keys(section, judging).integer('priority')
  await judgeProcesses(section, strip(group), judging)
}

async function judgeListener(section: ConfigSection, judging: Judging): Promise<void> {
  const keys = new Keys(section, judging)
  keys.integer('priority')
  const size = keys.integer('buffer_size')
  if (size !== undefined && size < 1) keys.fault('buffer_size', `${size} is no size of a buffer`)
  const events = readList(keys.text('events') ?? '')
  if (events.length === 0) keys.fault('events', 'an event listener needs events')
  const unknown = events.find((event) => !EVENTS.has(event.toUpperCase()))
  if (unknown !== undefined && !judging.hasPlugins)
    keys.fault('events', `there is no event ${unknown.slice(0, 60)}`)
  if (keys.read('redirect_stderr', readBoolean, 'neither true nor false'))
    keys.fault('redirect_stderr', 'an event listener cannot have it')
  await judgeProcesses(section, section.name, judging)
}

async function judgeFastCgi(section: ConfigSection, judging: Judging): Promise<void> {
  const keys = new Keys(section, judging)
  judgeName(keys, null, section.name)
  keys.integer('priority')
  await keys.user('user')
  const backlog = keys.integer('socket_backlog')
  if (backlog !== undefined && (backlog < 1 || backlog > 65_535))
    keys.fault('socket_backlog', 'not 1 to 65535')
  await keys.owner('socket_owner')
  keys.read('socket_mode', readOctal, 'no octal number')
  keys.know({ program_name: strip(section.name) })
  const socket = keys.text('socket') ?? ''
  const [, port] = /^tcp:\/\/[^\s:]+:(\p{Nd}+)\n?$/u.exec(socket) ?? []
  const number = port === undefined ? null : readInteger(port)
  const hasMode = keys.raw('socket_owner') !== undefined || keys.raw('socket_mode') !== undefined
  if (socket === '') keys.fault('socket', 'a fcgi-program needs a socket')
  else if (socket.startsWith('unix://')) {
    if (!socket.startsWith('unix:///')) keys.fault('socket', 'its path is not absolute')
  } else if (hasMode) keys.fault('socket', 'only a unix socket has an owner and a mode')
  else if (number === null || number < 1 || number > 65_535)
    keys.fault('socket', 'neither unix:///path nor tcp://host:port')
  await judgeProcesses(section, strip(section.name), judging)
}

function judgeName(keys: Keys, key: string | null, name: string): void {
  const wrong = [' ', ':', '/'].find((sign) => strip(name).includes(sign))
  if (wrong !== undefined) keys.fault(key, `a name has no "${wrong}"`)
}

async function judgeProcesses(section: ConfigSection, group: string, judging: Judging): Promise<void> {
  const keys = new Keys(section, judging)
  const program = strip(section.name)
  judgeName(keys, null, section.name)
  keys.know({ program_name: program, host_node_name: judging.hostName, group_name: group })
  judgeValues(keys)
  await keys.user('user')
  const count = keys.integer('numprocs') ?? 1
  const start = keys.integer('numprocs_start') ?? 0
  const pattern = keys.raw('process_name') ?? '%(program_name)s'
  judgeName(keys, 'process_name', pattern)
  if (count > 1 && !pattern.includes('%(process_num)'))
    keys.fault('process_name', 'needs %(process_num)02d or the like where numprocs is over 1')
  if (count > MAX_PROCESSES) keys.fault('numprocs', `${count} processes`)
  const last = start + Math.min(count, MAX_PROCESSES)
  for (let number = start; number < last; number++) await judgeProcess(keys, { number, count, pattern })
}

function judgeValues(keys: Keys): void {
  const flag = 'neither true nor false'
  const size = 'no size: it is a number, or one with KB, MB or GB'
  for (const key of ['priority', 'startsecs', 'startretries', 'stopwaitsecs']) keys.integer(key)
  for (const key of ['autostart', 'redirect_stderr', 'stdout_events_enabled', 'stderr_events_enabled'])
    keys.read(key, readBoolean, flag)
  for (const key of ['stdout_capture_maxbytes', 'stderr_capture_maxbytes']) keys.read(key, readBytes, size)
  keys.read('autorestart', readRestart, 'neither true, false nor unexpected')
  keys.read('stopsignal', readSignal, 'no signal')
  keys.read('exitcodes', readExitCodes, 'no list of exit statuses, 0 to 255')
  keys.read('umask', readOctal, 'no octal number')
  keys.text('serverurl')
  const stopAsGroup = keys.read('stopasgroup', readBoolean, flag) ?? false
  const killAsGroup = keys.read('killasgroup', readBoolean, flag) ?? stopAsGroup
  if (stopAsGroup && !killAsGroup) keys.fault('killasgroup', 'false, while stopasgroup is true')
}

async function judgeProcess(
  keys: Keys,
  { number, count, pattern }: { number: number; count: number; pattern: string },
): Promise<void> {
  keys.know({ process_num: number, numprocs: count })
  const environment = keys.expanded('environment', keys.raw('environment') ?? '')
  const variables = environment === undefined ? new Map<string, string>() : readEnvironment(environment)
  if (variables === null) keys.fault('environment', 'not KEY="value",KEY="value"')
  keys.know(Object.fromEntries([...(variables ?? [])].map(([name, value]) => [`ENV_${name}`, value])))
  keys.text('directory')
  for (const channel of ['stdout', 'stderr']) {
    const key = `${channel}_logfile`
    const once = keys.text(key)
    const file = once === undefined ? undefined : keys.expanded(key, once)
    if (file !== undefined && !WORDS.includes(file.toLowerCase())) await keys.file(key, file)
    keys.integer(`${key}_backups`)
    keys.read(`${key}_maxbytes`, readBytes, 'no size: it is a number, or one with KB, MB or GB')
    keys.read(`${channel}_syslog`, readBoolean, 'neither true nor false')
  }
  if (keys.raw('command') === undefined) keys.fault(null, 'there is no command')
  keys.text('command')
  keys.expanded('process_name', pattern)
}
