import { equal, notEqual } from 'node:assert/strict'
import { once } from 'node:events'
import { renameSync } from 'node:fs'
import { createServer } from 'node:net'
import { until } from '../../fixtures/wait.ts'
import type { ChaosHost } from '../chaos-host.ts'
import type { Scenario } from './scenario.ts'

const AWAY_MS = 30_000

export const supervisordTroubles: readonly Scenario[] = [
  {
    it: 'supervisord is killed and started again',
    async befall(chaos) {
      const { host } = chaos
      const children = host.children()
      await host.kill('SIGKILL')
      await isAway(chaos)
      for (const pid of children) end(pid)
      await host.start()
      await isBack(chaos)
    },
  },
  {
    it: 'supervisord stands still, and a process dies meanwhile',
    async befall(chaos) {
      const { host } = chaos
      const { pid } = await steady(chaos)
      await host.kill('SIGSTOP')
      end(pid)
      await isAway(chaos)
      await host.kill('SIGCONT')
      await isBack(chaos)
      await isAnother(chaos, pid)
    },
  },
  {
    it: 'supervisord is reloaded',
    async befall(chaos) {
      const { pid: before } = await steady(chaos)
      equal((await chaos.host.ctl('reload')).code, 0)
      await isAnother(chaos, before)
    },
  },
  {
    it: 'supervisord has lost its socket, and another program listens there',
    async befall(chaos) {
      const { host, load } = chaos
      const aside = `${host.socket}.aside`
      renameSync(host.socket, aside)
      const other = createServer((socket) => {
        socket.on('error', () => undefined)
        socket.on('data', () => socket.end('220 mail ready\r\n'))
      })
      other.listen(host.socket)
      await once(other, 'listening')
      // what goes over connections that are still open goes well all the same
      const failed = () => load.answers['SUPERVISOR_UNREACHABLE'] ?? 0
      const before = failed()
      await until(() => failed() > before + 3, 'calls to see through the other program', AWAY_MS)
      end((await steady(chaos)).pid)
      other.close()
      await once(other, 'close')
      renameSync(aside, host.socket)
      await isBack(chaos)
    },
  },
  {
    it: 'supervisord gets a successor at its socket, and lives on for a while',
    async befall(chaos) {
      const { host, admin } = chaos
      const old = host.pid
      const children = host.children()
      renameSync(host.socket, `${host.socket}.old`)
      await host.start()
      notEqual(host.pid, old)
      await until(
        async () => (await admin.call('agent.info', {})).supervisor.pid === host.pid,
        'the agent to be with the successor',
        AWAY_MS,
      )
      for (const pid of [old, ...children]) end(pid)
    },
  },
]

async function steady({ admin }: ChaosHost): Promise<{ pid: number; state: string }> {
  const [process] = (await admin.call('process.list', { select: ['steady'] })).processes
  return { pid: process?.pid ?? 0, state: process?.state ?? '' }
}

/** Waits until that process runs, as another than it was. */
async function isAnother(chaos: ChaosHost, before: number): Promise<void> {
  await until(
    async () => {
      const { state, pid } = await steady(chaos)
      return state === 'RUNNING' && pid !== before
    },
    'the process to be another',
    AWAY_MS,
  )
}

async function stateOf({ admin }: ChaosHost): Promise<string> {
  return (await admin.call('agent.info', {})).supervisor.state
}

async function isAway(chaos: ChaosHost): Promise<void> {
  await until(async () => (await stateOf(chaos)) !== 'running', 'supervisord to be away', AWAY_MS)
}

async function isBack(chaos: ChaosHost): Promise<void> {
  await until(async () => (await stateOf(chaos)) === 'running', 'supervisord to be back', AWAY_MS)
}

function end(pid: number): void {
  if (pid === 0) throw new Error('no such process')
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it is gone already
  }
}
