import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Config, parseConfig } from '../../src/config.ts'
import { IdempotencyKeys } from '../../src/core/access/idempotency.ts'
import { LOCAL_ADMIN } from '../../src/core/access/local-principals.ts'
import type { Principal } from '../../src/core/access/principal.ts'
import { TokenService } from '../../src/core/access/token-service.ts'
import { TokenStore } from '../../src/core/access/tokens.ts'
import { AuditLog } from '../../src/core/audit/log.ts'
import { auditPaths } from '../../src/core/audit/paths.ts'
import { AuditService } from '../../src/core/audit/service.ts'
import { type CronPlaces, CrontabStack } from '../../src/core/crontab/stack.ts'
import { DoctorService } from '../../src/core/doctor/service.ts'
import { EventBus, type RingLimits } from '../../src/core/events/bus.ts'
import type { EventJournal } from '../../src/core/events/journal.ts'
import { RunAs, usualPython } from '../../src/core/host/run-as.ts'
import { LogService } from '../../src/core/logs/service.ts'
import { Policy } from '../../src/core/policy/policy.ts'
import { PresetBook } from '../../src/core/programs/presets/book.ts'
import { PRESETS } from '../../src/core/programs/presets/index.ts'
import { ProgramStack } from '../../src/core/programs/stack.ts'
import { SupervisorStack } from '../../src/core/supervisor/stack.ts'
import { createLogger } from '../../src/logger.ts'
import type { AgentFacts, CallSource, Services } from '../../src/methods/context.ts'
import { openRpcDocument } from '../../src/methods/openrpc.ts'
import { LIMITS } from '../../src/protocol/limits.ts'
import type { Scope } from '../../src/protocol/scopes.ts'
import { Dispatcher } from '../../src/server/dispatcher.ts'
import type { Limits } from '../../src/server/limits.ts'
import type { Link, LinkUser } from '../../src/server/link.ts'
import { SessionServer } from '../../src/server/session-server.ts'
import { until } from '../fixtures/wait.ts'

interface Test {
  teardown(undo: () => unknown): void
}

/** What the agent sent, parsed. */
export interface Sent {
  id?: string | number | null
  method?: string
  params?: Record<string, unknown>
  result?: Record<string, unknown>
  error?: { code: number; message: string; data: Record<string, unknown> & { name: string } }
}

/** The far side of a connection: keeps every frame, and reads as slowly as the test says. */
export class Peer implements Link {
  readonly remote = 'memory'
  readonly frames: Sent[] = []
  /** Bytes that this peer has not read; set by the test, or counted while `isStuck`. */
  unread = 0
  /** Bytes that this peer has read while it is stuck; set by the test. */
  taken = 0
  isStuck = false
  closedWith: number | null = null
  isTerminated = false
  #user: LinkUser | null = null
  #ids = 0

  use(user: LinkUser): this {
    this.#user = user
    return this
  }

  send(frame: Buffer): void {
    this.frames.push(JSON.parse(frame.toString('utf8')) as Sent)
    if (this.isStuck) this.unread += frame.length
  }

  bufferedBytes(): number {
    return this.unread
  }

  takenBytes(): number {
    return this.taken
  }

  close(code: number): void {
    this.closedWith ??= code
  }

  terminate(): void {
    this.isTerminated = true
  }

  /** Reads all there is. */
  drain(): void {
    this.isStuck = false
    this.unread = 0
    this.#user?.drained()
  }

  /** Reads all there is up to now, and then nothing again. */
  gulp(): void {
    this.unread = 0
    this.#user?.drained()
  }

  /** Ends the connection from this side. */
  leave(): void {
    this.#user?.closed()
  }

  /** Sends one frame, as a transport would: nothing after the end. */
  say(frame: unknown): void {
    if (this.closedWith === null)
      this.#user?.receive(typeof frame === 'string' ? frame : JSON.stringify(frame))
  }

  /** Sends a request without waiting. @returns its id */
  ask(
    method: string,
    params: Record<string, unknown> = {},
    id: string | number = `c${++this.#ids}`,
  ): string | number {
    this.say({ jsonrpc: '2.0', id, method, params })
    return id
  }

  async answer(id: string | number | null): Promise<Sent> {
    await new Promise(setImmediate) // most answers are there then, and need no polling
    return await until(() => this.frames.find((frame) => frame.id === id), `an answer to ${id}`)
  }

  async call(method: string, params: Record<string, unknown> = {}): Promise<Sent> {
    return await this.answer(this.ask(method, params))
  }

  notes(method: string): Record<string, unknown>[] {
    return this.frames.flatMap((frame) => (frame.method === method ? [frame.params ?? {}] : []))
  }
}

/** Somebody with these rights. */
export function somebody(rights: Partial<Principal> & { scopes: ReadonlySet<Scope> }): Principal {
  return {
    actor: 'token:somebody',
    id: 'somebody00',
    programs: ['*'],
    users: [],
    isAbovePolicy: false,
    isRemote: true,
    ...rights,
  }
}

export interface PartsOptions {
  /** Where supervisord is; none is asked when absent. */
  url?: string
  policy?: Partial<Config['policy']>
  limits?: Partial<Limits>
  ring?: RingLimits
  /** Keeps the events; they are in memory alone when absent. */
  journal?: EventJournal
  tokensFile?: string
  agent?: Partial<AgentFacts>
  /** A cron of the test's own; there is none when absent. */
  cron?: Partial<CronPlaces>
}

/** The agent without its transports: real services, dispatcher and sessions. */
export async function parts(t: Test, options: PartsOptions = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'sv-'))
  const lines: string[] = []
  const logger = createLogger('debug', { write: (line) => void lines.push(line) })
  const config = parseConfig('', 'test')
  const bus = new EventBus({
    ...(options.ring ? { limits: options.ring } : {}),
    ...(options.journal ? { journal: options.journal } : {}),
  })
  const logs = new LogService()
  mkdirSync(join(folder, 'run'))
  const stack = new SupervisorStack({
    address: { url: options.url ?? `unix://${folder}/none.sock`, username: '', password: '' },
    files: config.supervisor,
    runDir: join(folder, 'run'),
    stateDir: folder,
    bus,
    position: null,
    logs,
    usageOf: () => null,
    logger,
  })
  const tokensFile = options.tokensFile ?? join(folder, 'tokens.json')
  const store = new TokenStore({ path: tokensFile, logger })
  await store.start()
  if (options.url) await stack.start()
  else await stack.connection.start()
  const keys = new IdempotencyKeys({ folder: join(folder, 'results'), logger, now: Date.now })
  await keys.start()
  const paths = auditPaths(folder)
  const audit = new AuditLog({ paths, logger, now: Date.now })
  const policy = new Policy({
    rules: { ...config.policy, ...options.policy },
    file: '/etc/supervisor-agent/config.yaml',
    supervisord: () => stack.facts(),
  })
  const runAs = new RunAs({ folder: join(folder, 'tasks'), python: usualPython, isSystemd: false })
  const crontabs = new CrontabStack({
    policy,
    bus,
    stateDir: folder,
    spoolDir: join(folder, 'spool'),
    cronDrift: 'report',
    runAs,
    now: Date.now,
    logger,
    // no cron: the host's own is not looked at
    places: options.cron ?? { folders: [join(folder, 'cron')], crontab: [join(folder, 'crontab')] },
  })
  const programs = new ProgramStack({
    supervisor: stack,
    policy,
    presets: new PresetBook(PRESETS),
    runAs,
    bus,
    stateDir: folder,
    logFolder: (options.policy?.logDirectories ?? config.policy.logDirectories)[0] ?? '',
    logger,
  })
  await crontabs.start()
  const services: Services = {
    agent: {
      name: 'web-1',
      version: '0.0.0',
      startedAt: new Date().toISOString(),
      listen: () => null,
      panel: () => ({ state: 'off', since: '2026-11-22T09:00:00.000Z' }),
      cron: () => ({ alive: false, flavour: 'unknown' }),
      schedules: () => [],
      ...options.agent,
    },
    bus,
    processes: stack.processes,
    logs: stack.logs,
    supervisor: stack.service,
    tokens: new TokenService({ store }),
    policy,
    programs: programs.service,
    graceful: programs.graceful,
    quarantine: programs.quarantine,
    crontabs: crontabs.service,
    cronRuns: crontabs.runner,
    audit: new AuditService({ log: audit, paths }),
    doctor: new DoctorService({
      config: { ...config, stateDir: folder, tokensFile },
      configFile: '/etc/supervisor-agent/config.yaml',
      supervisor: stack,
      panel: () => ({ state: 'off', since: '2026-11-22T09:00:00.000Z' }),
      isJournalBehind: () => false,
      cron: () => ({ alive: false, flavour: 'unknown' }),
    }),
  }
  const limits = { ...LIMITS, ...options.limits }
  const dispatcher = new Dispatcher({ keys, audit, limits, logger })
  const sessions = new SessionServer({ services, dispatcher, limits, logger })
  sessions.start()
  t.teardown(async () => {
    await sessions.stop()
    await (options.url ? stack.stop() : stack.connection.stop())
    logs.stop()
    await store.stop()
    await crontabs.stop()
    keys.stop()
    audit.stop()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  const context = (principal: Principal): CallSource => ({
    ...services,
    principal,
    remote: 'memory',
    signal: new AbortController().signal,
    streams: NO_STREAMS,
    progress: () => undefined,
    describe: () => openRpcDocument('0.0.0'),
    cancel: () => false,
  })
  return {
    services,
    bus,
    stack,
    store,
    tokensFile,
    dispatcher,
    sessions,
    lines,
    context,
    open: (principal: Principal = LOCAL_ADMIN): Peer => {
      const peer = new Peer()
      return peer.use(sessions.open(peer, principal))
    },
  }
}

/** For calls that come over no connection. */
const NO_STREAMS: CallSource['streams'] = {
  subscribe: () => ({ subscription: 'e1', mode: 'resumed', epoch: '', seq: 0 }),
  unsubscribe: () => undefined,
  follow: () => 'l1',
  unfollow: () => undefined,
}

/** The error that a call ends with. */
export async function failure(
  call: Promise<unknown>,
): Promise<{ code: string; message: string; facts: Record<string, unknown> }> {
  try {
    await call
  } catch (error) {
    return error as Awaited<ReturnType<typeof failure>>
  }
  throw new Error('the call succeeded')
}
