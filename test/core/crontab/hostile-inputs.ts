// Inputs that have broken crontabs elsewhere, and what ours makes of each: refused with that field, or written inline
// or as a script.
import type { EntryFields } from '../../../src/core/crontab/entry-validation.ts'
import { BEGIN, END } from '../../../src/core/crontab/table-markers.ts'

export const PLAIN: EntryFields = { name: 'Job', user: 'alice', schedule: '5 4 * * *', command: 'true' }

export interface Input {
  it: string
  with: Partial<EntryFields>
  /** The field that is wrong, or how the command is written. */
  verdict: 'inline' | 'script' | { refuses: string }
}

const refuses = (field: string) => ({ refuses: field })
const schedule = (it: string, text: string): Input => ({
  it,
  with: { schedule: text },
  verdict: refuses('schedule'),
})
const command = (it: string, text: string, verdict: Input['verdict']): Input => ({
  it,
  with: { command: text },
  verdict,
})
const env = (name: string, value: string, isTaken = false): Input => ({
  it: `variable ${JSON.stringify(name)} as ${JSON.stringify(value)}`,
  with: { env: { [name]: value } },
  verdict: isTaken ? 'script' : refuses(`env.${JSON.stringify(name).slice(1, -1)}`),
})

/** In the order of the measured list; users and @reboot are the policy's, and damaged tables are no input. */
const MEASURED: Input[] = [
  schedule('a second line in the schedule', '* * * * *\n* * * * * root'),
  schedule('six fields', '* * * * * *'),
  schedule('@every', '@every 1m'),
  schedule('junk after a star', '*5 * * * *'),
  schedule('a weekday of the month', '0 0 * * 1#2'),
  schedule('a random minute', '0~30 * * * *'),
  schedule('a range that goes backwards', '22-2 0 * * *'),
  schedule('a day that never comes', '0 0 31 2 *'),
  schedule('a variable for a schedule', 'PATH=/evil'),
  schedule('a quoted variable for a schedule', '"a b"=x * * * *'),
  schedule('a minus before the schedule', '-* * * * *'),
  schedule('a no-break space between fields', '0\u00a00 * * *'),
  schedule('a full-width digit', '\uff11 0 * * *'),
  schedule('a number that overflows', '4294967296 * * * *'),
  schedule('a list of 10 kB', `${'1,'.repeat(5000)}1 * * * *`),
  command('a line of a crontab in the command', 'true\n* * * * * touch /tmp/evil', 'script'),
  command('a carriage return', 'true\r', refuses('command')),
  command('a NUL and a hidden job', 'true\0* * * * * evil', refuses('command')),
  command('nothing to run', ' \t', refuses('command')),
  command('a percent sign', 'date +%F', 'inline'),
  command('two backslashes', "printf 'a\\\\b'", 'script'),
  command('the end of a quotation', "'; touch /tmp/pwned; #", 'inline'),
  command('substitutions', 'echo $(reboot) `halt` ${HOME}', 'inline'),
  command('5 kB', `echo ${'x'.repeat(5000)}`, 'script'),
  command('70 kB', `echo ${'x'.repeat(70_000)}`, refuses('command')),
  command('our marker', BEGIN, 'inline'),
  command('our marker on a line of its own', `true\n${END}\ntrue`, 'script'),
  { it: 'a name of two lines', with: { name: 'a\n* * * * * evil' }, verdict: refuses('name') },
  { it: 'a name that turns its direction', with: { name: 'a\u202eb' }, verdict: refuses('name') },
  { it: 'a name like our marker', with: { name: END }, verdict: 'inline' },
  { it: 'an option for a user', with: { user: '-l' }, verdict: refuses('user') },
  { it: 'a path for a user', with: { user: '../root' }, verdict: refuses('user') },
  { it: 'a user of two lines', with: { user: 'alice\nbob' }, verdict: refuses('user') },
  { it: 'an id that leads elsewhere', with: { id: '../../etc/cron.d/x' }, verdict: refuses('id') },
  env('LD_PRELOAD', '/tmp/x.so'),
  env('SHELL', '/bin/false'),
  env('A', 'x\n* * * * * evil'),
  env('A\nB', 'x'),
]

const MORE: Input[] = [
  schedule('a form feed between fields', '0\f0 * * *'),
  schedule('a NUL after the schedule', '0 0 * * *\0'),
  schedule('a comment', '# 0 * * *'),
  schedule('days that go backwards by name', '0 0 * * sat-sun'),
  schedule('a star with a step of nothing', '*/0 * * * *'),
  schedule('blanks up to the limit', `0 0${' '.repeat(300)}* * *`),
  command('a tab', "printf 'a\tb'", 'script'),
  command("cron's own escape", 'echo \\%', 'script'),
  command('a backslash at the end', 'echo a\\', 'inline'),
  command('a backslash before a quote and a percent sign', "echo \\'%", 'inline'),
  command('nothing but percent signs', '%%%', 'inline'),
  command('an escape sequence of a terminal', 'echo \u001b[2J', refuses('command')),
  command('half of a character', 'echo \ud800', refuses('command')),
  command('64 KiB', 'x'.repeat(65_536), 'script'),
  command('a byte more than 64 KiB', 'x'.repeat(65_537), refuses('command')),
  command('64 KiB of characters, more of bytes', '\u00e9'.repeat(40_000), refuses('command')),
  command('letters of all kinds', "echo 'h\u00e9llo \u2713 \u{1f600} \u2028'", 'inline'),
  command('what looks like an option', '-n 5', 'inline'),
  command('what looks like a comment', '# nothing', 'inline'),
  command('what looks like an environment line', 'A=b', 'inline'),
  command('an unfinished quotation', "echo 'a", 'inline'),
  command('800 bytes', `echo ${'y'.repeat(790)}`, 'inline'),
  command('our own arguments', "/x/.bin/cronrun -o other -- 'true'", 'inline'),
  command('history, globs and braces', 'echo !! * ~ {a,b} [x] \\$HOME "$@" & wait', 'inline'),
  { it: 'a name that is empty', with: { name: '' }, verdict: refuses('name') },
  { it: 'a name with a blank at its end', with: { name: 'a ' }, verdict: refuses('name') },
  { it: 'a name of 201 bytes', with: { name: 'x'.repeat(201) }, verdict: refuses('name') },
  { it: 'a name with a NUL', with: { name: 'a\0b' }, verdict: refuses('name') },
  { it: 'a name with a line separator', with: { name: 'a\u2028b' }, verdict: refuses('name') },
  { it: 'a number for a user', with: { user: '0' }, verdict: refuses('user') },
  { it: 'a user with a NUL', with: { user: 'alice\0' }, verdict: refuses('user') },
  { it: 'an id like an option', with: { id: '-s' }, verdict: refuses('id') },
  { it: 'an id with a dot', with: { id: 'a.b' }, verdict: refuses('id') },
  env('PATH', '/tmp'),
  env('BASH_ENV', '/tmp/x'),
  env('NODE_OPTIONS', '--require /tmp/x'),
  env('CRON_TZ', 'UTC'),
  env('1A', 'x'),
  env('A B', 'x'),
  env('A', 'x\0y'),
  env('NODE_ENV', 'production', true),
  env('GREETING', "it's 100% \\\\ $HOME `id`", true),
  env('__proto__', 'x', true),
]

export const INPUTS: readonly Input[] = [...MEASURED, ...MORE]
