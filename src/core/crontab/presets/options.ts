// The parts that options of presets have in common.
import * as z from 'zod'
import { line } from '../../../protocol/program-text.ts'

/** A word that no program takes for an option of its own. */
export function word(max = 255) {
  return line(max).regex(/^[^-\s]/, 'no - at its beginning, which would make it an option')
}

/** A full path as it is: no `.`, no `..`, no doubled slash, and not the root. */
export function path() {
  return line(1024).regex(
    /^(?:\/(?!\.{1,2}(?:\/|$))[^/]+)+$/,
    'a full path below the root, without . or .. and without a slash at its end',
  )
}

/** An executable, by its name or its full path. */
export function program() {
  return line(1024).regex(/^(?:\/[^/].*|[A-Za-z0-9_][A-Za-z0-9_.+-]*)$/, 'a name, or a full path')
}

export function executable(byDefault: string) {
  return program().default(byDefault)
}

export function phpOptions(script: string) {
  return {
    folder: path().describe('the folder of the application'),
    php: executable('php').describe('the PHP that runs it, such as php8.3 or its full path'),
    script: word(1024).default(script).describe('its command line, from that folder or by its full path'),
  }
}

/** Where a backup goes, and how many of them stay. */
export function backupOptions(about: string) {
  return {
    folder: path().describe(
      'where the backups go; it must be there, and its user must be able to write in it',
    ),
    name: z
      .string()
      .regex(
        /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/,
        'letters, digits and _ . - only, the first no sign, 64 at most',
      )
      .describe(`how the names of the files begin; ${about}`),
    keep: z
      .int()
      .min(1)
      .max(1000)
      .default(7)
      .describe('backups that stay, the newest; older ones are deleted'),
  }
}
