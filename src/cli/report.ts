import { CommanderError } from 'commander'
import { ConnectionError } from '../client/index.ts'
import { ConfigError } from '../config-error.ts'
import { AgentError, ERRORS, toWireError } from '../protocol/errors.ts'
import { CLOSE } from '../protocol/limits.ts'
import { UsageError } from './globals.ts'
import { harmless } from './text.ts'

/** True when errors are wanted as JSON too, also those of a command line that cannot be parsed to its end. */
export function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end < 0 ? argv.length : end).includes('--json')
}

/** Says what went wrong: in words on stderr, with --json as an object on stdout too. @returns the exit status */
export function report(error: unknown, { isJson }: { isJson: boolean }): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0 // help that was asked for
  const named = namedError(error)
  if (isJson) process.stdout.write(`${JSON.stringify({ error: toWireError(named) })}\n`)
  if (!(error instanceof CommanderError)) process.stderr.write(`agent: ${harmless(named.message)}\n`)
  process.stderr.write(tailOf(named))
  return ERRORS[named.code].exit
}

/** What the process wrote that did not come up. */
function tailOf({ facts }: AgentError): string {
  const { logTail } = facts
  if (typeof logTail !== 'string' || logTail === '') return ''
  return logTail
    .trimEnd()
    .split('\n')
    .map((line) => `    ${harmless(line)}\n`)
    .join('')
}

function namedError(error: unknown): AgentError {
  if (error instanceof AgentError) return error
  if (error instanceof CommanderError) {
    if (error.code === 'commander.help') return new AgentError('INVALID_PARAMS', 'a command is missing')
    const code = error.code === 'commander.unknownCommand' ? 'METHOD_NOT_FOUND' : 'INVALID_PARAMS'
    return new AgentError(code, error.message.replace(/^error: /, ''))
  }
  if (error instanceof ConfigError || error instanceof UsageError)
    return new AgentError('INVALID_PARAMS', error.message)
  if (error instanceof ConnectionError) {
    const { message, failure, isFinal, status, closeCode } = error
    // an address that is none
    if (failure === 'unreachable' && isFinal) return new AgentError('INVALID_PARAMS', message)
    const isRefused = status === 401 || status === 403 || closeCode === CLOSE.tokenEnded
    const code = isRefused ? 'FORBIDDEN' : 'SUPERVISOR_UNREACHABLE'
    const facts = {
      ...(status === undefined ? {} : { status }),
      ...(closeCode === undefined ? {} : { closeCode }),
    }
    return new AgentError(code, message, { facts })
  }
  return new AgentError('INTERNAL', error instanceof Error ? error.message : String(error))
}
