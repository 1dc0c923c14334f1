import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { loadConfig } from '../../config.ts'
import { LOCAL_ADMIN } from '../../core/access/local-principals.ts'
import { TokenService } from '../../core/access/token-service.ts'
import { TokenStore } from '../../core/access/tokens.ts'
import { createLogger } from '../../logger.ts'
import type { ResultOf } from '../../methods/index.ts'
import { AgentError } from '../../protocol/errors.ts'
import { Role, Scope } from '../../protocol/scopes.ts'
import { deadlineOf, type Globals, openClient, UsageError } from '../globals.ts'

export interface TokenOptions {
  role?: string
  scopes?: string[]
  programs?: string[]
  users?: string[]
  expiresAt?: string
}

/**
 * Makes a token and prints it alone on stdout. Through the daemon where it runs, so that the token is in force when
 * this returns; else straight into the file.
 */
export async function createToken(name: string, options: TokenOptions, globals: Globals): Promise<number> {
  const wish = wishOf(name, options)
  const { token, record } = isRemote(globals)
    ? await throughAgent(wish, globals)
    : await intoFile(wish, globals)
  if (globals.json) process.stdout.write(`${JSON.stringify({ token, record })}\n`)
  else {
    process.stdout.write(`${token}\n`)
    if (!globals.quiet)
      process.stderr.write(
        `token ${record.name} (${record.role ?? record.scopes.join(', ')}): shown this once, kept nowhere\n`,
      )
  }
  return 0
}

type Wish = ReturnType<typeof wishOf>
type Made = ResultOf<'token.create'>

function wishOf(name: string, { role, scopes, programs, users, expiresAt }: TokenOptions) {
  const wanted = { role: Role.optional().safeParse(role), scopes: Scope.array().optional().safeParse(scopes) }
  if (!wanted.role.success) throw new UsageError(`--role: one of ${Role.options.join(', ')}`)
  if (!wanted.scopes.success) throw new UsageError(`--scopes: some of ${Scope.options.join(', ')}`)
  if (!role && !scopes) throw new UsageError(`--role is needed: one of ${Role.options.join(', ')}`)
  return {
    name,
    ...(wanted.role.data ? { role: wanted.role.data } : {}),
    ...(wanted.scopes.data ? { scopes: wanted.scopes.data } : {}),
    ...(programs ? { programs } : {}),
    ...(users ? { users } : {}),
    ...(expiresAt ? { expiresAt } : {}),
  }
}

function isRemote(globals: Globals): boolean {
  if (globals.url !== undefined || globals.socket !== undefined) return true
  return existsSync(join(loadConfig(globals.config).listen.runDir, 'admin.sock'))
}

async function throughAgent(wish: Wish, globals: Globals): Promise<Made> {
  let client: Awaited<ReturnType<typeof openClient>>
  try {
    client = await openClient(globals, { reconnect: false })
  } catch (error) {
    const isLocal = globals.url === undefined && globals.socket === undefined
    // a socket that a killed daemon left behind
    if (isLocal && error instanceof AgentError && error.code === 'SUPERVISOR_UNREACHABLE')
      return await intoFile(wish, globals)
    throw error
  }
  try {
    return await client.call('token.create', wish, { mutates: true, ...deadlineOf(globals) })
  } finally {
    await client.close()
  }
}

async function intoFile(wish: Wish, globals: Globals): Promise<Made> {
  const store = new TokenStore({ path: loadConfig(globals.config).tokensFile, logger: createLogger('fatal') })
  await store.start()
  try {
    return await new TokenService({ store }).createFor(LOCAL_ADMIN, wish)
  } finally {
    await store.stop()
  }
}
