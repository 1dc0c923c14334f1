import { deepEqual, ok } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { connect as connectSocket, type Socket } from 'node:net'
import { AgentError, connect } from '../../../src/client/index.ts'
import { until } from '../../fixtures/wait.ts'
import { type ChaosHost, countOf } from '../chaos-host.ts'
import type { Scenario } from './scenario.ts'

export const CROWD = 200
/** More than the agent and its twenty clients need, and far less than a crowd wants. */
const ROOM = 30
/** The agent's patience with a connection that says nothing is five seconds. */
const GONE_MS = 30_000

/** Somebody who connects and says nothing. */
class Visitor {
  readonly #socket: Socket
  isOver = false

  constructor(url: string) {
    this.#socket = connectSocket(Number(new URL(url).port), '127.0.0.1')
    this.#socket.on('error', () => undefined)
    this.#socket.on('close', () => (this.isOver = true))
    this.#socket.resume()
  }

  leave(): void {
    this.#socket.destroy()
  }
}

export const noDescriptors: readonly Scenario[] = [
  {
    it: 'a crowd takes its descriptors',
    befall: (chaos) =>
      withFew(chaos, async (most) => {
        const crowd = crowdAt(chaos.url)
        try {
          await until(() => countOf(chaos.agent) >= most, 'all descriptors to be taken')
          const { processes } = await chaos.admin.call('process.list', {})
          ok(processes.length > 0, 'who is in is served')
          await until(() => crowd.every(({ isOver }) => isOver), 'everybody to be sent away', GONE_MS)
        } finally {
          for (const one of crowd) one.leave()
        }
      }),
  },
  {
    it: 'a crowd takes its descriptors, and somebody must come back meanwhile',
    befall: (chaos) => withFew(chaos, (most) => besieged(chaos, most)),
  },
]

async function besieged({ agent, url, tokens }: ChaosHost, most: number): Promise<void> {
  const late = await connect({ url, token: tokens[1] ?? '', reconnect: { minMs: 50, maxMs: 500 } })
  let crowd: Visitor[] = []
  const besieging = setInterval(() => {
    for (const one of crowd) one.leave()
    crowd = crowdAt(url)
  }, 500)
  try {
    await until(() => countOf(agent) >= most, 'all descriptors to be taken')
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => late.call('process.list', {}).then(() => 'ok', nameOf)),
    )
    deepEqual([...new Set(answers)], ['ok'])
  } finally {
    clearInterval(besieging)
    for (const one of crowd) one.leave()
    await late.close()
  }
}

/** Gives the task how many descriptors the agent has when there are no more. */
async function withFew(
  { agent, descriptors }: ChaosHost,
  task: (most: number) => Promise<void>,
): Promise<void> {
  const limit = descriptors.busy + ROOM
  const prlimit = (...words: string[]) =>
    execFileSync('prlimit', ['--pid', String(agent.pid), ...words])
      .toString()
      .trim()
  const before = prlimit('--nofile', '--raw', '--noheadings', '--output', 'SOFT')
  prlimit(`--nofile=${limit}:`)
  try {
    await task(limit - 1)
  } finally {
    prlimit(`--nofile=${before}:`)
  }
}

function crowdAt(url: string): Visitor[] {
  return Array.from({ length: CROWD }, () => new Visitor(url))
}

function nameOf(error: unknown): string {
  return error instanceof AgentError ? error.code : String(error)
}
