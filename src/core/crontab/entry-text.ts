// What the texts of an entry may hold. Each function says what is wrong, as the end of a sentence, or null.

const NAME_MAX_BYTES = 200
const COMMAND_MAX_BYTES = 64 * 1024
const VALUE_MAX_BYTES = 8 * 1024
const VARIABLES_MAX = 100

const CONTROL = /\p{Cc}/u
const CONTROL_BUT_LAYOUT = /[^\P{Cc}\t\n]/u
const CONTROL_BUT_TAB = /[^\P{Cc}\t]/u
/** Half of a character: it has no bytes. */
const LONE_SURROGATE = /\p{Cs}/u
/** What ends a line, or turns the direction of what is shown. */
const INVISIBLE = /[\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/
const USER = /^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/

/** They decide which code a job runs, or are cron's own: not a variable of a job. */
const DENIED = new Set(
  (
    'BASHOPTS CDPATH CLASSPATH CRON_TZ ENV FPATH GCONV_PATH GLIBC_TUNABLES HOME ' +
    'IFS JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS LOCPATH LOGNAME LUA_CPATH LUA_INIT LUA_PATH MAILFROM ' +
    'MAILTO NODE_OPTIONS NODE_PATH PATH PERL5DB PERL5LIB PERL5OPT PERLLIB PHPRC ' +
    'PHP_INI_SCAN_DIR PROMPT_COMMAND PS4 PYTHONHOME PYTHONPATH PYTHONSTARTUP PYTHONUSERBASE RANDOM_DELAY RUBYLIB ' +
    'RUBYOPT SHELL SHELLOPTS USER ZDOTDIR _JAVA_OPTIONS'
  ).split(' '),
)
const DENIED_PREFIXES = ['LD_', 'BASH_', 'DYLD_']

export function nameProblem(name: string): string | null {
  if (name.trim() === '') return 'is empty'
  if (name !== name.trim()) return 'begins or ends with a blank'
  if (CONTROL.test(name) || LONE_SURROGATE.test(name))
    return 'holds a control character or half of a character'
  if (INVISIBLE.test(name)) return 'holds an invisible character that ends the line or turns its direction'
  return Buffer.byteLength(name) > NAME_MAX_BYTES ? `is longer than ${NAME_MAX_BYTES} bytes` : null
}

export function userProblem(user: string): string | null {
  return USER.test(user) ? null : 'is not the name of a system user'
}

export function commandProblem(command: string): string | null {
  if (command.trim() === '') return 'is empty'
  if (command.includes('\0')) return 'holds a NUL byte, at which cron begins another line'
  if (command.includes('\r')) return 'holds a carriage return'
  if (CONTROL_BUT_LAYOUT.test(command)) return 'holds a control character'
  if (LONE_SURROGATE.test(command)) return 'holds half of a character'
  return Buffer.byteLength(command) > COMMAND_MAX_BYTES ? `is longer than ${COMMAND_MAX_BYTES} bytes` : null
}

export function variableProblem(name: string): string | null {
  if (!VARIABLE.test(name)) return 'is not the name of a variable'
  const isDenied = DENIED.has(name) || DENIED_PREFIXES.some((prefix) => name.startsWith(prefix))
  return isDenied ? 'decides which code a job runs, or is for cron alone: set it in the command' : null
}

export function valueProblem(value: string): string | null {
  if (CONTROL_BUT_TAB.test(value)) return 'holds a newline or another control character'
  if (LONE_SURROGATE.test(value)) return 'holds half of a character'
  return Buffer.byteLength(value) > VALUE_MAX_BYTES ? `is longer than ${VALUE_MAX_BYTES} bytes` : null
}

export function variablesProblem(env: Readonly<Record<string, string>>): string | null {
  return Object.keys(env).length > VARIABLES_MAX ? `has more than ${VARIABLES_MAX} variables` : null
}
