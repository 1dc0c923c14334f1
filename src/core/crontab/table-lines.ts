// The lines of a crontab as both daemons read them. Text is latin-1 here: one character is one byte, whatever the
// bytes mean.

/** A line that sets a variable for every job below it. */
export interface EnvironmentLine {
  kind: 'environment'
  name: string
  value: string
}

export interface JobLine {
  kind: 'job'
  /** Five fields with one blank between, or `@name`; not judged. */
  schedule: string
  /** What the shell gets, once cron has taken its own escapes away. */
  command: string
  /** What the job reads, where the line has a bare `%`. */
  stdin: string | null
  /** It holds two backslashes: Debian's cron makes one of them, cronie does not. */
  isTwofold: boolean
}

export type CrontabLine = EnvironmentLine | JobLine | { kind: 'blank' | 'comment' | 'broken' }

const ENVIRONMENT = /^[ \t]*(?:"([^"]*)"|'([^']*)'|([^ \t\n\v\f\r"'=][^ \t\n\v\f\r=]*))[ \t]*=[ \t]*(.*)$/s
const TIMED = /^((?:[^ \t]+[ \t]+){4}[^ \t]+)[ \t]+([^ \t].*)$/s
const NAMED = /^(@[^ \t]+)[ \t]+([^ \t].*)$/s

const BEYOND_ASCII = /[^\0-\x7f]/

/** Text in lines, each with its own end; the last may have none. */
export function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? []
}

/** A line without its end. */
export function bare(line: string): string {
  return line.endsWith('\n') ? line.slice(0, -1) : line
}

/** What cron makes of a line, given without its end. */
export function readLine(text: string): CrontabLine {
  const start = text.replace(/^[ \t]+/, '')
  if (start === '') return { kind: 'blank' }
  if (start.startsWith('#')) return { kind: 'comment' }
  const [, double, single, plain, value = ''] = ENVIRONMENT.exec(text) ?? []
  const name = double ?? single ?? plain
  if (name !== undefined) return { kind: 'environment', name, value: unquoted(value) }
  const [, schedule, rest] = (start.startsWith('@') ? NAMED : TIMED).exec(start) ?? []
  if (schedule === undefined || rest === undefined) return { kind: 'broken' }
  return { kind: 'job', schedule: schedule.replaceAll(/[ \t]+/g, ' '), ...readCommand(rest) }
}

/** Latin-1 text that holds UTF-8, as it is shown. */
export function shown(text: string): string {
  return BEYOND_ASCII.test(text) ? Buffer.from(text, 'latin1').toString('utf8') : text
}

/** Text as the bytes of its UTF-8, in latin-1. */
export function written(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

function unquoted(value: string): string {
  let end = value.length
  // by hand: an expression that looks for blanks at the end is quadratic in runs of them
  while (end > 0 && ' \t\r'.includes(value.charAt(end - 1))) end--
  const trimmed = value.slice(0, end)
  const [, , inner] = /^(["'])(.*)\1$/s.exec(trimmed) ?? []
  return inner ?? trimmed
}

/** A backslash takes the next character with it; `\%` is a percent sign, a bare one ends the command. */
function readCommand(text: string): Pick<JobLine, 'command' | 'stdin' | 'isTwofold'> {
  const end = /^(?:[^\\%]+|\\[^]|\\$)*/.exec(text)?.[0].length ?? text.length
  const command = text.slice(0, end)
  const stdin = end < text.length ? text.slice(end + 1) : null
  return {
    command: percents(command),
    stdin: stdin === null ? null : stdin.replaceAll(/\\%|%/g, (sign) => (sign === '%' ? '\n' : '%')),
    isTwofold: text.includes('\\\\'),
  }
}

function percents(text: string): string {
  return text.replaceAll(/\\([^])/g, (pair, next: string) => (next === '%' ? '%' : pair))
}
