// A real supervisord and the built agent beside it, under the load of twenty clients, for tests that break something
// and then ask whether all is true again.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type AgentClient, connect } from '../../src/client/index.ts'
import { type AgentProcess, agentProcess } from '../fixtures/agent-process.ts'
import { disagreement } from '../fixtures/agreement.ts'
import { createToken } from '../fixtures/create-token.ts'
import { Defects } from '../fixtures/defects.ts'
import { onSmallDisk } from '../fixtures/namespace.ts'
import { type Supervisord, supervisord } from '../fixtures/supervisord.ts'
import { usageOf } from '../fixtures/usage.ts'
import { until } from '../fixtures/wait.ts'
import { Clock } from './clock.ts'
import { Load, PROGRAMS } from './load.ts'
import { RawWatch } from './raw-watch.ts'
import type { Trail } from './trail.ts'

interface Scope {
  teardown(task: () => unknown): void
}

/** What of the agent's surroundings is its own, so that a test can break it. */
export interface Surroundings {
  /** Its time of day can be set. */
  hasClock?: boolean
  /** Its state lies on a disk of that size. */
  disk?: string
}

const SAMPLES = 50
const SAMPLE_MS = 20
const TRUE_MS = 30_000
/** Connections to supervisord that are kept for later. */
const KEPT = 2

type Parts = Pick<
  ChaosHost,
  'host' | 'agent' | 'admin' | 'load' | 'raw' | 'descriptors' | 'url' | 'tokens'
> & {
  clock: Clock | null
  state: string
}

export class ChaosHost {
  readonly host: Supervisord
  readonly agent: AgentProcess
  readonly admin: AgentClient
  readonly load: Load
  readonly raw: RawWatch
  /** Of the agent: sockets and logs that were open before anybody came; all descriptors with everybody there. */
  readonly descriptors: { idle: number; busy: number }
  readonly url: string
  readonly tokens: readonly string[]
  /** Where the agent keeps its state, as this process sees it. */
  readonly state: string
  readonly #clock: Clock | null
  readonly #defects: Defects

  private constructor(parts: Parts) {
    this.host = parts.host
    this.agent = parts.agent
    this.admin = parts.admin
    this.load = parts.load
    this.raw = parts.raw
    this.descriptors = parts.descriptors
    this.url = parts.url
    this.tokens = parts.tokens
    this.state = `/proc/${parts.agent.pid}/root${parts.state}`
    this.#clock = parts.clock
    this.#defects = new Defects(parts.agent, { withErrors: false })
  }

  /** Sets the agent's time of day, that far from the real one. */
  async setClock(offMs: number): Promise<void> {
    if (!this.#clock) throw new Error('the agent has the clock of everybody')
    await this.#clock.jump(this.agent, offMs)
  }

  static async start(t: Scope, { hasClock = false, disk }: Surroundings = {}): Promise<ChaosHost> {
    const host = await supervisord(t, { programs: PROGRAMS })
    const clock = hasClock ? new Clock(host) : null
    const state = join(host.folder, 'state')
    const agent = await agentProcess(t, host, {
      listener: true,
      env: clock?.env ?? {},
      under: disk === undefined ? [] : onSmallDisk(state, disk),
    })
    const admin = await connect({ url: `unix://${agent.runDir}/admin.sock` })
    t.teardown(() => admin.close())
    const tokens: string[] = []
    for (const name of ['panel-1', 'panel-2']) tokens.push(await createToken(admin, { name, role: 'admin' }))
    const { listen } = await admin.call('agent.info', {})
    const url = `ws://127.0.0.1:${listen?.port}/ws`
    await until(async () => (await disagreement(host, admin)) === '', 'all programs to be known')
    const idle = visits(agent)
    const load = await Load.start(url, tokens)
    t.teardown(() => load.close())
    const raw = await RawWatch.open(url, tokens[0] ?? '')
    t.teardown(() => raw.close())
    const busy = await mostOf(agent)
    const parts = { host, agent, clock, state, admin, load, raw, descriptors: { idle, busy }, url, tokens }
    return new ChaosHost(parts)
  }

  /** Waits until all clients go on and memory is true. @returns what is wrong all the same, which should be nothing */
  async verdict(): Promise<string[]> {
    const { load, agent, descriptors } = this
    await load.recovered()
    await load.calm()
    await until(
      async () => {
        const wrong = (await disagreement(this.host, this.admin)) || (await this.#laggards())
        if (wrong !== '') throw new Error(wrong)
        return true
      },
      'the agent, supervisorctl and every subscriber to agree',
      TRUE_MS,
    )
    await until(() => countOf(agent) <= descriptors.busy, `${descriptors.busy} descriptors at most`)
    load.resume()
    await load.recovered()
    return this.wrong()
  }

  /** Ends the load. @returns how many sockets and logs are open that were not before it, kept connections aside */
  async end(): Promise<number> {
    this.raw.close()
    await this.load.close()
    const over = () => visits(this.agent) - this.descriptors.idle - KEPT
    await until(() => over() <= 0, 'sockets and logs to be closed').catch(() => undefined)
    return Math.max(0, over())
  }

  /** What was found wrong up to now. */
  wrong(): string[] {
    const { load, raw, agent } = this
    return [
      ...load.wrong,
      ...load.trails.flatMap(({ wrong }, n) => wrong.map((text) => `subscriber ${n}: ${text}`)),
      ...raw.trail.wrong.map((text) => `on the wire: ${text}`),
      ...this.#defects.found(),
      ...(agent.isRunning ? [] : ['the agent ended']),
    ]
  }

  /** The subscribers that do not know what the agent knows; empty when there are none. */
  async #laggards(): Promise<string> {
    const { seq, processes } = await this.admin.call('process.list', {})
    const truth = processes.map(({ name, state }) => `${name} ${state}`).toSorted()
    const knows = (trail: Trail) =>
      trail.seq === seq &&
      [...trail.states]
        .map(([name, state]) => `${name} ${state}`)
        .toSorted()
        .join() === truth.join()
    const trails = [
      ...this.load.trails,
      ...(this.raw.isOpen && this.raw.trail.gaps === 0 ? [this.raw.trail] : []),
    ]
    const behind = trails.find((trail) => !knows(trail))
    return behind ? `${seq} ${truth.join()} and a subscriber ${behind.seq} ${[...behind.states].join()}` : ''
  }
}

async function mostOf(agent: AgentProcess): Promise<number> {
  let most = 0
  for (let n = 0; n < SAMPLES; n++, await sleep(SAMPLE_MS)) most = Math.max(most, countOf(agent))
  return most
}

/** What comes and goes with clients; files of its own it opens once and keeps. */
function visits(agent: AgentProcess): number {
  const { descriptors } = usageOf(agent.pid)
  return descriptors.filter((name) => name === 'socket' || /[.](?:out|err)$/.test(name)).length
}

export function countOf(agent: AgentProcess): number {
  return usageOf(agent.pid).descriptors.length
}
