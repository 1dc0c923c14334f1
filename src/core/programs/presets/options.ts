// The parts that options of presets have in common.
import * as z from 'zod'
import { line, WEEK_SECS } from '../../../protocol/program-text.ts'

const LONG_SECS = 3_600
/** What a worker needs beyond its longest job. */
const SPARE_SECS = 10

/** A word that no program takes for an option of its own. */
export function word(max = 255) {
  return line(max).regex(/^[^-\s]/, 'no - at its beginning, which would make it an option')
}

/** A name of a queue, a connection, a receiver. */
export function name() {
  return line(128).regex(/^[A-Za-z0-9_][A-Za-z0-9_.:/@{}-]*$/, 'letters, digits and _ . : / @ { } - only')
}

export function secs(byDefault: number) {
  return z.int().min(0).max(WEEK_SECS).default(byDefault)
}

export function count(byDefault: number, max = 1_000_000) {
  return z.int().min(0).max(max).default(byDefault)
}

export function port() {
  return z.int().min(1).max(65_535)
}

/** An executable, by its name or its full path. */
export function executable(byDefault: string, about: string) {
  return word(1024).default(byDefault).describe(about)
}

/** What each application of PHP says of itself. */
export function phpOptions(script: string) {
  return {
    php: executable('php', 'the PHP that runs it, such as php8.3 or its full path'),
    script: word(1024).default(script).describe('its command line, from `directory` or by its full path'),
  }
}

/** Time to end for a worker whose longest job takes that long; 0 = nobody knows. */
export function stopWaitFor(longestSecs: number): number {
  return longestSecs === 0 ? LONG_SECS : Math.min(longestSecs + SPARE_SECS, WEEK_SECS)
}

/** supervisord kills at the end of the stop wait, job or no job. */
export function stopWaitWarnings(
  longestSecs: number,
  { stopWaitSecs = 10 }: { stopWaitSecs?: number | undefined },
  what: string,
): string[] {
  if (longestSecs > 0 && longestSecs < stopWaitSecs) return []
  if (longestSecs === 0)
    return [
      `without ${what} a job may take longer than stopWaitSecs (${stopWaitSecs}): it is then killed by a stop`,
    ]
  return [
    `${what} (${longestSecs}) is not below stopWaitSecs (${stopWaitSecs}): a stop kills a job that takes its time`,
  ]
}

/** For what cannot run twice on one host. */
export function singleWarnings({ processes = 1 }: { processes?: number | undefined }, why: string): string[] {
  return processes > 1 ? [`processes is ${processes}: ${why}`] : []
}
