import type { Option } from 'commander'

// A flag of every command that an entry has as well: behind the words of a command that takes an entry, it is the entry's.
const FLAG = '--timeout-ms'
const COMMANDS = new Set(['cron add', 'cron plan', 'cron set'])

/** By this name commander gets it: it takes a flag of every command wherever that stands. */
export const ENTRY_TIMEOUT = '--entry-timeout-ms'

/** Whether `--version` stands behind a command: there it is a mistake, which must not pass for a call. */
export function isVersionMisplaced(argv: readonly string[], options: readonly Option[]): boolean {
  const takesValue = new Set(options.flatMap(({ long, required }) => (required && long ? [long] : [])))
  const first = argv.findIndex((word, i) => !word.startsWith('-') && !takesValue.has(argv[i - 1] ?? ''))
  return first >= 0 && argv.indexOf('--version') > first
}

/** The words of the command line, with such a flag told apart. */
export function withOwnFlags(argv: readonly string[]): string[] {
  const at = argv.findIndex((word, i) => COMMANDS.has(`${word} ${argv[i + 1] ?? ''}`))
  const isTheirs = (word: string, i: number) =>
    at >= 0 && i > at + 1 && (word === FLAG || word.startsWith(`${FLAG}=`))
  return argv.map((word, i) => (isTheirs(word, i) ? ENTRY_TIMEOUT + word.slice(FLAG.length) : word))
}
