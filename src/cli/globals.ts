import { readFileSync } from 'node:fs'
import { type AgentClient, connect } from '../client/index.ts'
import { ConfigError } from '../config-error.ts'
import { AgentError } from '../protocol/errors.ts'
import { withSettings } from '../with-settings.ts'
import { localSocket, movesRunDir, RUN_DIR, unreachableText } from './fast-status.ts'

/** Options that every command takes. */
export interface Globals {
  config?: string
  socket?: string
  url?: string
  tokenFile?: string
  ca?: string
  json?: boolean
  color?: boolean
  quiet?: boolean
  timeoutMs?: number
}

/** The deadline of a call, for the client; none unless `--timeout-ms` says one. */
export function deadlineOf({ timeoutMs }: Globals): { timeoutMs?: number } {
  return timeoutMs === undefined ? {} : { timeoutMs }
}

/** A wrong command line: exit status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/**
 * Connects to the agent that the options name: `--url` with a token, `--socket`, or this host's own.
 * @throws {AgentError} SUPERVISOR_UNREACHABLE when no agent answers
 */
export async function openClient(globals: Globals, options: { reconnect: boolean }): Promise<AgentClient> {
  const late = new AbortController()
  const { timeoutMs } = globals
  const text = `no agent answered within ${timeoutMs} ms`
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => late.abort(new AgentError('SUPERVISOR_UNREACHABLE', text)), timeoutMs)
  try {
    return await dial(globals, {
      signal: late.signal,
      ...(options.reconnect ? {} : { reconnect: false as const }),
    })
  } finally {
    clearTimeout(timer)
  }
}

async function dial(
  globals: Globals,
  options: { signal: AbortSignal; reconnect?: false },
): Promise<AgentClient> {
  if (globals.url !== undefined) {
    if (globals.tokenFile === undefined) throw new UsageError('--url needs --token-file')
    const token = textOf('--token-file', globals.tokenFile).trim()
    const ca = globals.ca === undefined ? {} : { ca: textOf('--ca', globals.ca) }
    return await connect({ url: globals.url, token, ...ca, ...options })
  }
  const path = globals.socket ?? localSocket(await runDirOf(globals))
  try {
    return await connect({ url: `unix://${path}`, ...options })
  } catch (error) {
    const cause = causeWithCode(error)
    if (!cause) throw error
    throw new AgentError('SUPERVISOR_UNREACHABLE', unreachableText(path, cause), { cause: error })
  }
}

function textOf(option: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`${option}: ${(error as Error).message}`)
  }
}

/** Where the sockets are; the config is read whole only when it may say so. */
async function runDirOf({ config }: Globals): Promise<string> {
  if (config === undefined && !movesRunDir()) return RUN_DIR
  const read = await withSettings(({ readRunDir }) => readRunDir(config))
  if ('runDir' in read) return read.runDir
  // a config that is root's alone says nothing to others: the usual place
  if (config === undefined) return RUN_DIR
  throw new ConfigError(read.problem)
}

function causeWithCode(error: unknown): NodeJS.ErrnoException | null {
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    if ('code' in at && typeof at.code === 'string' && /^E[A-Z]+$/.test(at.code))
      return at as NodeJS.ErrnoException
  return null
}
