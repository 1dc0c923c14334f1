// Lines for /bin/sh out of words that nobody on this side has chosen.
import { shellQuoted } from '../managed-line.ts'

/** What stands as it is. A word with = in it would set a variable, unless it is an option. */
const PLAIN = /^(?:-[A-Za-z0-9_@+:,./=-]*|[A-Za-z0-9_@+:,./-]+)$/

/** A word of a line: one argument, whatever it holds. */
export function quoted(word: string): string {
  return PLAIN.test(word) ? word : shellQuoted(word)
}

/** A command of exactly these words. Those that are null are left out. */
export function commandOf(words: readonly (string | null)[]): string {
  return words.flatMap((word) => (word === null ? [] : [quoted(word)])).join(' ')
}

/** A command in a folder; it does not run where that folder is missing. */
export function within(folder: string, command: string): string {
  return `cd ${quoted(folder)} && ${command}`
}
