/**
 * A command that supervisord splits into exactly these words.
 * @param words those that are null are left out
 */
export function commandOf(words: readonly (string | null)[]): string {
  return words.flatMap((word) => (word === null ? [] : [quoted(word)])).join(' ')
}

/** `--name=value`; null when there is no value to tell. */
export function flag(name: string, value: string | number | readonly string[] | undefined): string | null {
  if (value === undefined || value === '') return null
  if (typeof value !== 'object') return `--${name}=${value}`
  return value.length === 0 ? null : `--${name}=${value.join(',')}`
}

/** `--name` where it is wanted. */
export function toggle(name: string, isWanted: boolean): string | null {
  return isWanted ? `--${name}` : null
}

function quoted(word: string): string {
  if (/^[A-Za-z0-9_@%+=:,./()-]+$/.test(word)) return word
  return `'${word.replaceAll("'", `'"'"'`)}'`
}
