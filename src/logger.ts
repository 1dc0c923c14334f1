import { type DestinationStream, type Logger, pino } from 'pino'

export type { Logger }

/** Paths that never reach the log, wherever an object with them is logged. */
const SECRETS = [
  'token',
  'secret',
  'password',
  'authorization',
  '*.token',
  '*.secret',
  '*.password',
  '*.authorization',
  'headers.authorization',
  '*.headers.authorization',
]

/** The agent's log: JSON lines, synchronous, so that the last line before a crash is on disk. */
export function createLogger(
  level: string,
  destination: DestinationStream = pino.destination({ dest: 2, sync: true }),
): Logger {
  return pino({ level, base: null, redact: { paths: SECRETS, censor: '[secret]' } }, destination)
}
