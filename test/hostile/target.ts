// The real daemon beside a real supervisord, as the hostile cases meet it: rights of every kind, and the means to see
// from outside whether it is well.
import { type AgentClient, connect } from '../../src/client/index.ts'
import { type AgentProcess, agentProcess } from '../fixtures/agent-process.ts'
import { createToken, type Wish } from '../fixtures/create-token.ts'
import { Defects } from '../fixtures/defects.ts'
import { type Supervisord, supervisord } from '../fixtures/supervisord.ts'
import { type Usage, usageOf } from '../fixtures/usage.ts'
import { until } from '../fixtures/wait.ts'

interface Scope {
  teardown(task: () => unknown): void
}

const PROGRAMS = {
  web: { command: 'sleep 3000' },
  'web-1': { command: 'sleep 3000' },
  'xweb-1': { command: 'sleep 3000' },
  db: { command: 'sleep 3000' },
  idle: { command: 'sleep 3000', autostart: false },
  silent: { command: 'sleep 3000', stdout_logfile: 'NONE', stderr_logfile: 'NONE' },
  stuck: {
    command: `/bin/sh -c "trap '' TERM; while :; do sleep 0.2; done"`,
    stopwaitsecs: 3600,
    stopasgroup: true,
    killasgroup: true,
  },
  worker: { command: 'sleep 3000', numprocs: 2, process_name: '%(program_name)s_%(process_num)02d' },
}
const LIFETIME_MS = 3_000
const BYSTANDERS = 4

export const ORIGIN = 'https://panel.example'

/** Texts of tokens, by what they are good for. */
export interface Tokens {
  admin: string
  operator: string
  viewer: string
  /** Operator of the programs that match `web-*`. */
  narrow: string
  /** Viewer without the right to read logs. */
  reader: string
  revoked: string
  expired: string
}

export class Target {
  readonly host: Supervisord
  readonly agent: AgentProcess
  readonly admin: AgentClient
  readonly tokens: Tokens
  readonly port: number
  /** Sessions that keep every rule, and live from the first case to the last. */
  readonly bystanders: readonly AgentClient[]
  #turn = 0
  readonly #defects: Defects

  constructor(parts: {
    host: Supervisord
    agent: AgentProcess
    admin: AgentClient
    tokens: Tokens
    port: number
    bystanders: readonly AgentClient[]
  }) {
    this.host = parts.host
    this.agent = parts.agent
    this.admin = parts.admin
    this.tokens = parts.tokens
    this.port = parts.port
    this.bystanders = parts.bystanders
    this.#defects = new Defects(parts.agent, { withErrors: true })
  }

  /** One of them; they take turns, so that none comes near its rate. */
  bystander(): AgentClient {
    const one = this.bystanders[this.#turn++ % this.bystanders.length]
    if (!one) throw new Error('there are no bystanders')
    return one
  }

  get pid(): number {
    return this.agent.pid
  }

  usage(): Usage {
    return usageOf(this.pid)
  }

  /** Processes of supervisord that cases have no business with, by the pids that the kernel knows. */
  workers(): string {
    return this.host
      .children()
      .toSorted((a, b) => a - b)
      .join(' ')
  }

  /** Lines of the daemon's log that no input from outside may cause. */
  defects(): string[] {
    return this.#defects.found()
  }

  isAlive(): boolean {
    return this.agent.isRunning
  }

  async health(): Promise<number> {
    return (await fetch(`http://127.0.0.1:${this.port}/healthz`)).status
  }
}

/** A daemon with every kind of token, all its programs running; with more lines of config where they are given. */
export async function startTarget(
  t: Scope,
  { config = '', env = {} }: { config?: string; env?: Record<string, string> } = {},
): Promise<Target> {
  const host = await supervisord(t, { programs: PROGRAMS })
  const agent = await agentProcess(t, host, {
    listener: true,
    config: `log: { level: debug }\n${config}`,
    env,
    listen: `allowedOrigins: ['${ORIGIN}']`,
  })
  const admin = await connect({ url: `unix://${agent.runDir}/admin.sock`, reconnect: false })
  t.teardown(() => admin.close())
  const { listen } = await admin.call('agent.info', {})
  const expiresAt = Date.now() + LIFETIME_MS
  const tokens = await makeTokens(admin, new Date(expiresAt).toISOString())
  await until(async () => {
    const { processes } = await admin.call('process.list', {})
    const others = processes.filter(({ name, state }) => state !== 'RUNNING' && name !== 'idle')
    if (others.length === 0) return true
    const states = others.map(({ name, state }) => `${name} ${state}`).join()
    throw new Error(`${states}; ${agent.daemon.stderr().slice(0, 8000)}`)
  }, 'all to run')
  await until(() => Date.now() > expiresAt, 'a token to expire')
  const port = listen?.port ?? 0
  const url = `ws://127.0.0.1:${port}/ws`
  const bystanders = await Promise.all(
    Array.from({ length: BYSTANDERS }, () => connect({ url, token: tokens.viewer, reconnect: false })),
  )
  t.teardown(() => Promise.all(bystanders.map((one) => one.close())))
  return new Target({ host, agent, admin, tokens, port, bystanders })
}

async function makeTokens(admin: AgentClient, expiresAt: string): Promise<Tokens> {
  const make = async (name: string, wish: Omit<Wish, 'name'>) => await createToken(admin, { name, ...wish })
  const expired = await make('expired', { role: 'viewer', expiresAt })
  const revoked = await make('revoked', { role: 'viewer' })
  await admin.call('token.revoke', { token: 'revoked' }, { mutates: true })
  return {
    admin: await make('panel-admin', { role: 'admin' }),
    operator: await make('operator', { role: 'operator' }),
    viewer: await make('viewer', { role: 'viewer' }),
    narrow: await make('narrow', { role: 'operator', programs: ['web-*'] }),
    reader: await make('reader', { scopes: ['read'] }),
    revoked,
    expired,
  }
}
