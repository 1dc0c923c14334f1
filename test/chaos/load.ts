// Twenty clients that use an agent as panels do, all the time: half read all events, some follow logs, some list, and
// some restart a program of their own. What they see is kept, to be judged afterwards.
import { setTimeout as sleep } from 'node:timers/promises'
import { type AgentClient, AgentError, connect, type ProcessResult } from '../../src/client/index.ts'
import type { Settings } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { Trail } from './trail.ts'

const WATCHERS = 10
const FOLLOWERS = 4
const LISTERS = 3
const RESTARTERS = 3
/** Connections that a token may have are fewer than all. */
const TOKENS = 2
const PAUSE_MS = 150
/** Every call has its answer by then, whatever happens. */
const ANSWER_MS = 40_000
const RESTART_MS = 8_000

export const CLIENTS = WATCHERS + FOLLOWERS + LISTERS + RESTARTERS

/** What the load needs to be there. */
export const PROGRAMS: Record<string, Settings> = {
  steady: { command: 'sleep 3000' },
  worker: { command: 'sleep 3000', numprocs: 4, process_name: '%(program_name)s_%(process_num)02d' },
  chatty: {
    command: '/bin/sh -c "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.05; done"',
    stopasgroup: true,
    killasgroup: true,
  },
  ...Object.fromEntries(
    range(RESTARTERS).map((n) => [ownOf(n), { command: 'sleep 3000', startsecs: n % 2 }]),
  ),
}

/** Gives the rows of the answer. */
type Ask = () => Promise<ProcessResult[]>

export class Load {
  readonly trails: readonly Trail[]
  /** Answers of calls by the name of their error; `ok` where there is none. */
  readonly answers: Record<string, number> = {}
  readonly wrong: string[] = []
  /** How often a client lost its connection. */
  breaks = 0
  #lines = range(FOLLOWERS).map(() => 0)
  #successes = range(LISTERS + RESTARTERS).map(() => 0)
  readonly #clients: AgentClient[] = []
  readonly #loops: Promise<void>[] = []
  #underWay = 0
  #isCalm = false
  #isEnding = false

  private constructor() {
    this.trails = range(WATCHERS).map(() => new Trail())
  }

  /** Connects all of them and returns when each has had its first answer. */
  static async start(url: string, tokens: readonly string[]): Promise<Load> {
    const load = new Load()
    for (const n of range(CLIENTS)) await load.#add(url, tokens[n % TOKENS] ?? '', n)
    await load.recovered()
    return load
  }

  /** Waits until every one of them gets what it asks for, anew. */
  async recovered(timeoutMs = 45_000): Promise<void> {
    const lines = [...this.#lines]
    const successes = [...this.#successes]
    const isBack = () =>
      this.#clients.every(({ state }) => state === 'connected') &&
      this.trails.every(({ epoch }) => epoch !== '') &&
      this.#lines.every((count, n) => count > (lines[n] ?? 0)) &&
      // the first one may have been answered before
      this.#successes.every((count, n) => count > (successes[n] ?? 0) + 1)
    await until(
      () => {
        if (isBack()) return true
        throw new Error(JSON.stringify(this.#state(lines, successes)))
      },
      'all clients to go on',
      timeoutMs,
    )
  }

  /** Makes no more calls, and waits for the answers of those under way; whoever reads goes on. */
  async calm(): Promise<void> {
    this.#isCalm = true
    await until(() => this.#underWay === 0, 'the calls under way to be answered', 2 * ANSWER_MS)
  }

  resume(): void {
    this.#isCalm = false
  }

  async close(): Promise<void> {
    this.#isEnding = true
    await Promise.all(this.#clients.map((client) => client.close()))
    await Promise.all(this.#loops)
  }

  #state(lines: readonly number[], successes: readonly number[]) {
    return {
      clients: this.#clients.map(({ state }) => state).filter((state) => state !== 'connected'),
      lines: this.#lines.map((count, n) => count - (lines[n] ?? 0)),
      successes: this.#successes.map((count, n) => count - (successes[n] ?? 0)),
      answers: this.answers,
    }
  }

  async #add(url: string, token: string, n: number): Promise<void> {
    const client = await connect({ url, token, reconnect: { minMs: 50, maxMs: 500 } })
    this.#clients.push(client)
    client.onState((state, reason) => {
      if (state === 'reconnecting' && reason) this.breaks++
      if (state === 'closed' && reason?.failure !== 'closed') this.wrong.push(`client ${n}: ${reason}`)
    })
    const trail = this.trails[n]
    if (trail) return void this.#read(client, trail)
    if (n < WATCHERS + FOLLOWERS) return void this.#follow(client, n - WATCHERS)
    const caller = n - WATCHERS - FOLLOWERS
    const list: Ask = async () => {
      await client.call('process.list', {}, { timeoutMs: ANSWER_MS })
      return []
    }
    const restart: Ask = async () => {
      const params = { select: [ownOf(caller - LISTERS)], timeoutMs: RESTART_MS }
      const options = { mutates: true, timeoutMs: ANSWER_MS }
      return (await client.call('process.restart', params, options)).results
    }
    const ask = caller < LISTERS ? list : restart
    this.#loops.push(this.#repeat(caller, ask))
  }

  async #read(client: AgentClient, trail: Trail): Promise<void> {
    try {
      for await (const item of client.events()) trail.take(item)
    } catch (error) {
      this.wrong.push(`events: ${String(error)}`)
    }
  }

  async #follow(client: AgentClient, n: number): Promise<void> {
    try {
      for await (const { text } of client.follow({ select: ['chatty'] }))
        this.#lines[n] = (this.#lines[n] ?? 0) + text.split('\n').length - 1
    } catch (error) {
      this.wrong.push(`log: ${String(error)}`)
    }
  }

  async #repeat(n: number, ask: Ask): Promise<void> {
    for (; !this.#isEnding; await sleep(PAUSE_MS)) {
      if (this.#isCalm) continue
      this.#underWay++
      const name = await this.#answerOf(ask)
      this.#underWay--
      this.answers[name] = (this.answers[name] ?? 0) + 1
      if (name === 'ok') this.#successes[n] = (this.#successes[n] ?? 0) + 1
    }
  }

  /** `ok`, or the name of the error of the call or of its row. */
  async #answerOf(ask: Ask): Promise<string> {
    try {
      return (await ask()).find(({ ok }) => !ok)?.error?.name ?? 'ok'
    } catch (error) {
      const isAnswer = error instanceof AgentError && !error.message.startsWith('no answer to')
      // of a call that cannot be recorded, which is no defect where a test has filled the disk
      const isDefect = isAnswer && error.code === 'INTERNAL' && error.facts['reason'] !== 'ENOSPC'
      if (!this.#isEnding && (!isAnswer || isDefect)) this.wrong.push(`a call: ${String(error)}`)
      return isAnswer ? error.code : 'none'
    }
  }
}

function ownOf(n: number): string {
  return `own${n}`
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n)
}
