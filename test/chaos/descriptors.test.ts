import { execFileSync } from 'node:child_process'
import { connect as connectSocket, type Socket } from 'node:net'
import t from 'tap'
import { AgentError, connect } from '../../src/client/index.ts'
import { until } from '../fixtures/wait.ts'
import { ChaosHost, countOf, pidOf } from './chaos-host.ts'

const CROWD = 200
/** More than the agent and its twenty clients need, and far less than a crowd wants. */
const ROOM = 30
/** The agent's patience with a connection that says nothing is five seconds. */
const GONE_MS = 30_000
/** Lines for a crowd: some for each, and no flood. */
const LINES_MAX = 4 * CROWD

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

await t.test('twenty clients while there are no descriptors left', async (t) => {
  const chaos = await ChaosHost.start(t)
  const { agent, admin, load, url, tokens } = chaos
  t.same(await chaos.verdict(), [], 'all is well before')
  const limit = chaos.descriptors.busy + ROOM
  execFileSync('prlimit', ['--pid', String(pidOf(agent)), `--nofile=${limit}:`])

  await t.test('a crowd comes', async (t) => {
    const crowd = Array.from({ length: CROWD }, () => new Visitor(url))
    t.teardown(() => crowd.forEach((one) => one.leave()))
    await until(() => countOf(agent) >= limit - 1, 'all descriptors to be taken')
    const { processes } = await admin.call('process.list', {})
    t.ok(processes.length > 0, 'who is in is served')
    await until(() => crowd.every(({ isOver }) => isOver), 'everybody to be sent away', GONE_MS)
    t.ok(agent.isRunning)
  })

  await t.test('clients that must come back wait, and do', async (t) => {
    const late = await connect({ url, token: tokens[1] ?? '', reconnect: { minMs: 50, maxMs: 500 } })
    t.teardown(() => late.close())
    const crowds: Visitor[] = []
    t.teardown(() => crowds.forEach((one) => one.leave()))
    const besieging = setInterval(() => {
      for (const one of crowds.splice(0)) one.leave()
      crowds.push(...Array.from({ length: CROWD }, () => new Visitor(url)))
    }, 500)
    await until(() => countOf(agent) >= limit - 1, 'all descriptors to be taken')
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => late.call('process.list', {}).then(() => 'ok', nameOf)),
    )
    clearInterval(besieging)
    t.same([...new Set(answers)], ['ok'])
    for (const one of crowds.splice(0)) one.leave()
    await late.close()
    t.same(await chaos.verdict(), [])
  })

  const lines = agent.daemon.stderr().split('\n')
  const said = lines.filter((line) => line.includes('LimitNOFILE'))
  t.match(
    said,
    [/"level":40,.*"code":"EMFILE".*no file descriptor is left/],
    'one line says so, and the way out',
  )
  const refused = lines.filter((line) => /EMFILE|cannot accept|too many connections/.test(line)).length
  t.ok(refused < LINES_MAX, `${refused} lines say so`)
  t.comment(`answers: ${JSON.stringify(load.answers)}; breaks: ${load.breaks}`)
  t.equal(await chaos.end(), 0, 'nothing is left open')
  t.equal((await agent.stop()).code, 0)
})

function nameOf(error: unknown): string {
  return error instanceof AgentError ? error.code : String(error)
}
