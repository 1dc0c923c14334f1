import * as z from 'zod'
import { GivenName } from './names.ts'
import { key } from './program-key.ts'
import {
  Bytes,
  Environment,
  LogFile,
  line,
  MAX_INT,
  Path,
  PresetOptions,
  ProgramName,
  WEEK_SECS,
} from './program-text.ts'

/** Signals that make sense for a stop; by the name that kill takes. */
export const STOP_SIGNALS = [
  'TERM',
  'HUP',
  'INT',
  'QUIT',
  'KILL',
  'USR1',
  'USR2',
  'ABRT',
  'ALRM',
  'WINCH',
] as const

/** What a process may use at most. Set by `nice` and `prlimit` in front of the command; a child inherits it. */
export const ProgramLimits = z
  .strictObject({
    memoryBytes: z
      .int()
      .min(1_048_576)
      .max(Number.MAX_SAFE_INTEGER)
      .optional()
      .describe('memory of its own that a process may ask for (RLIMIT_DATA); more is refused to it'),
    openFiles: z.int().min(16).max(1_048_576).optional().describe('file descriptors (RLIMIT_NOFILE)'),
    nice: z.int().min(0).max(19).optional().describe('how far it steps back for others'),
  })
  .refine((limits) => Object.values(limits).some((value) => value !== undefined), 'at least one limit')
  .meta({ description: 'what a process may use at most' })
export type ProgramLimits = z.infer<typeof ProgramLimits>

/** Both channels have the same keys. */
function channel(name: 'stdout' | 'stderr') {
  const ini = (rest: string): string => `${name}_${rest}`
  return {
    logfile: key(LogFile, {
      ini: ini('logfile'),
      kind: 'log-file',
      byDefault: 'AUTO',
      since: '3.0',
      about: `where ${name} goes: a full path, NONE or AUTO; \`%(process_num)02d\` is the number of the process`,
    }),
    maxBytes: key(Bytes, {
      ini: ini('logfile_maxbytes'),
      kind: 'bytes',
      byDefault: '50MB',
      since: '3.0',
      about: `size at which supervisord rotates the log of ${name}; 0 = never`,
    }),
    backups: key(z.int().min(0).max(1000), {
      ini: ini('logfile_backups'),
      kind: 'integer',
      byDefault: '10',
      since: '3.0',
      about: `rotated logs of ${name} that are kept`,
    }),
    captureMaxBytes: key(Bytes, {
      ini: ini('capture_maxbytes'),
      kind: 'bytes',
      byDefault: '0',
      since: '3.0',
      about: `longest message that ${name} may send to event listeners; 0 = none`,
    }),
    eventsEnabled: key(z.boolean(), {
      ini: ini('events_enabled'),
      kind: 'boolean',
      byDefault: 'false',
      since: '3.0a7',
      about: `make an event of all that is written to ${name}`,
    }),
    syslog: key(z.boolean(), {
      ini: ini('syslog'),
      kind: 'boolean',
      byDefault: 'false',
      since: '4.0.0',
      about: `send ${name} to syslog as well`,
    }),
  }
}

const stdout = channel('stdout')
const stderr = channel('stderr')

/**
 * A program as a panel gives it. Every text is taken as it is: percent signs, quotes and commas are escaped for
 * supervisord and come back as they were. The one exception is `%(process_num)02d` (any width) in `command`, the values
 * of `environment` and the log files: the number of the process. The other names of supervisord (`%(ENV_X)s`,
 * `%(here)s`, `%(program_name)s`, `%(group_name)s`, `%(host_node_name)s`, `%(numprocs)d`) are refused, so that nobody
 * takes a text for what it stands for elsewhere. `process_name` is no field: it is always `<name>_%(process_num)02d`.
 */
export const Definition = z.strictObject({
  name: ProgramName,
  preset: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,63}$/)
    .optional()
    .describe('the preset that it is made from'),
  options: PresetOptions.optional().describe('options of the preset'),
  command: key(line(16_384), {
    ini: 'command',
    kind: 'text',
    byDefault: '',
    since: '3.0',
    about: 'what runs, with its arguments; no shell reads it; needed without a preset',
  }),
  directory: key(Path, {
    ini: 'directory',
    kind: 'text',
    byDefault: '',
    since: '3.0',
    about: 'the folder it starts in; without it, that of supervisord',
  }),
  user: key(
    line(64).regex(/^(?:\d{1,10}|[A-Za-z_][A-Za-z0-9_.@-]{0,62}\$?)$/, 'the name or number of a user'),
    {
      ini: 'user',
      kind: 'text',
      byDefault: '',
      since: '3.0',
      about: "the user it runs as, by name or number; without it, supervisord's own",
    },
  ),
  processes: key(z.int().min(1).max(1000), {
    ini: 'numprocs',
    kind: 'integer',
    byDefault: '1',
    since: '3.0',
    about: 'how many processes run',
  }),
  numprocsStart: key(z.int().min(0).max(1_000_000), {
    ini: 'numprocs_start',
    kind: 'integer',
    byDefault: '0',
    since: '3.0',
    about: 'the number of the first process',
  }),
  priority: key(z.int().min(-MAX_INT).max(MAX_INT), {
    ini: 'priority',
    kind: 'integer',
    byDefault: '999',
    since: '3.0',
    about: 'lower numbers start first and stop last',
  }),
  autostart: key(z.boolean(), {
    ini: 'autostart',
    kind: 'boolean',
    byDefault: 'true',
    since: '3.0',
    about: 'start it with supervisord',
  }),
  autorestart: key(z.union([z.boolean(), z.literal('unexpected')]), {
    ini: 'autorestart',
    kind: 'restart',
    byDefault: 'unexpected',
    since: '3.0',
    about: 'start it again when it exits: always, never, or when the exit status is not among `exitCodes`',
  }),
  startSecs: key(z.int().min(0).max(WEEK_SECS), {
    ini: 'startsecs',
    kind: 'integer',
    byDefault: '1',
    since: '3.0',
    about: 'seconds that it must stay up to count as RUNNING',
  }),
  startRetries: key(z.int().min(0).max(MAX_INT), {
    ini: 'startretries',
    kind: 'integer',
    byDefault: '3',
    since: '3.0',
    about: 'failed starts in a row before it is FATAL',
  }),
  exitCodes: key(z.array(z.int().min(0).max(255)).max(256), {
    ini: 'exitcodes',
    kind: 'exit-codes',
    byDefault: '0',
    since: '3.0',
    about: 'exit statuses that are expected',
  }),
  stopSignal: key(z.enum(STOP_SIGNALS), {
    ini: 'stopsignal',
    kind: 'signal',
    byDefault: 'TERM',
    since: '3.0',
    about: 'the signal that asks it to stop',
  }),
  stopWaitSecs: key(z.int().min(0).max(WEEK_SECS), {
    ini: 'stopwaitsecs',
    kind: 'integer',
    byDefault: '10',
    since: '3.0',
    about: 'seconds it has to stop before it is killed',
  }),
  stopAsGroup: key(z.boolean(), {
    ini: 'stopasgroup',
    kind: 'boolean',
    byDefault: 'false',
    since: '3.0b1',
    about: 'send the stop signal to its children as well',
  }),
  killAsGroup: key(z.boolean(), {
    ini: 'killasgroup',
    kind: 'boolean',
    byDefault: 'false',
    since: '3.0a11',
    about: 'kill its children as well',
  }),
  umask: key(z.string().regex(/^0?[0-7]{3}$/, 'three octal digits'), {
    ini: 'umask',
    kind: 'octal',
    byDefault: '',
    since: '3.0',
    about: 'mode bits that its new files lack, in octal',
  }),
  environment: key(Environment, {
    ini: 'environment',
    kind: 'environment',
    byDefault: '',
    since: '3.0',
    about: "variables, added to supervisord's own",
  }),
  redirectStderr: key(z.boolean(), {
    ini: 'redirect_stderr',
    kind: 'boolean',
    byDefault: 'false',
    since: '3.0',
    about: 'stderr goes into the log of stdout',
  }),
  stdoutLogfile: stdout.logfile,
  stdoutLogfileMaxBytes: stdout.maxBytes,
  stdoutLogfileBackups: stdout.backups,
  stdoutCaptureMaxBytes: stdout.captureMaxBytes,
  stdoutEventsEnabled: stdout.eventsEnabled,
  stdoutSyslog: stdout.syslog,
  stderrLogfile: stderr.logfile,
  stderrLogfileMaxBytes: stderr.maxBytes,
  stderrLogfileBackups: stderr.backups,
  stderrCaptureMaxBytes: stderr.captureMaxBytes,
  stderrEventsEnabled: stderr.eventsEnabled,
  stderrSyslog: stderr.syslog,
  serverurl: key(line(2048).regex(/^(?:AUTO|(?:unix|https?):\/\/\S+)$/, 'a URL or AUTO'), {
    ini: 'serverurl',
    kind: 'text',
    byDefault: 'AUTO',
    since: '3.0',
    about: 'the URL of supervisord that its environment tells',
  }),
  limits: ProgramLimits.optional(),
})
export type Definition = z.infer<typeof Definition>

/** A definition as it is shown: that of a foreign program may have a name that we would not give. */
export const ShownDefinition = Definition.extend({
  name: GivenName,
  masked: z
    .literal(true)
    .optional()
    .describe('`environment` or secret options are left out: they need the scope `program`'),
})
export type ShownDefinition = z.infer<typeof ShownDefinition>
