import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { connect } from '../../src/client/index.ts'
import { until } from '../fixtures/wait.ts'

const TOTAL = 100_000
const KILLS = 5
const CUTS = 20
const LONG_MS = 120_000
/** The link stays away over so many events: three times what memory holds. */
const AWAY = 12_288
const AWAY_STEP = 12
/** The journal begins a new file every three thousand events or so. */
const FILE_BYTES = 512 * 1024

/** Passes bytes on, until it cuts every link. */
class Relay {
  #isAway = false
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** The ends that look away from the agent. */
  readonly #near = new Set<Socket>()

  constructor(target: () => number) {
    this.#server = createServer((near) => {
      if (this.#isAway) return void near.destroy()
      const far = connectSocket(target(), '127.0.0.1')
      this.#near.add(near)
      near.on('close', () => this.#near.delete(near))
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket)
        socket.on('error', () => undefined)
        socket.on('close', () => {
          this.#sockets.delete(socket)
          if (!this.#isAway) other.destroy()
        })
        socket.pipe(other)
      }
    })
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as { port: number }).port
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Cuts every link and lets nobody in; nobody tells the agent, whose end is not read any more. */
  leave(): void {
    this.#isAway = true
    for (const socket of this.#near) socket.destroy()
  }

  comeBack(): void {
    this.#isAway = false
  }

  close(): void {
    this.cut()
    this.#server.close()
  }
}

await t.test(
  `${TOTAL} events, ${KILLS} kills, ${CUTS} cuts, one of them for long: none lost, none doubled, all in order`,
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'resume-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
    let host: ChildProcess | null = null
    let hello = { port: 0, token: '' }
    const begin = async () => {
      const script = join(import.meta.dirname, 'event-host.ts')
      const words = [folder, hello.port, TOTAL, '', FILE_BYTES].map(String)
      host = spawn(process.execPath, ['--import', 'tsx', script, ...words], {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { PATH: process.env['PATH'] ?? '', NODE_OPTIONS: '' },
      })
      const [line] = (await once(host.stdout ?? host, 'data')) as [Buffer]
      hello = JSON.parse(line.toString()) as typeof hello
    }
    const kill = async () => {
      const gone = once(host ?? t, 'exit')
      host?.kill('SIGKILL')
      await gone
    }
    await begin()
    t.teardown(kill)
    const relay = new Relay(() => hello.port)
    t.teardown(() => relay.close())
    const url = `ws://127.0.0.1:${await relay.listen()}`
    const client = await connect({ url, token: hello.token, reconnect: { minMs: 50, maxMs: 500 } })
    t.teardown(() => client.close())

    let first: { epoch: string; seq: number } | null = null
    let last = 0
    const wrong: unknown[] = []
    const reading = (async () => {
      for await (const item of client.events()) {
        if (item.kind === 'snapshot' && !first) {
          first = { epoch: item.epoch, seq: item.seq }
          last = item.seq
        } else if (item.kind !== 'event' || item.epoch !== first?.epoch || item.seq !== last + 1)
          wrong.push(item)
        else {
          last = item.seq
          if (item.type === 'process.removed' && item.payload.process !== `p${item.seq}`) wrong.push(item)
        }
        if (last >= TOTAL) return
      }
    })()
    const files = () =>
      readdirSync(join(folder, 'journal')).flatMap((name) =>
        /^\d{16}/.test(name) ? [Number(name.slice(0, 16))] : [],
      )
    const steps = KILLS + CUTS
    for (let step = 1; step <= steps; step++) {
      const due = Math.floor((step * TOTAL) / (steps + 2))
      await until(() => last >= due || wrong.length > 0, `event ${due}`, LONG_MS)
      if (step % 5 === 0) {
        await kill()
        await begin()
      } else if (step === AWAY_STEP) {
        relay.leave()
        const seen = last
        await until(() => Math.max(...files()) > seen + AWAY, 'events to go on', LONG_MS)
        t.ok(
          files().filter((number) => number > seen).length >= 3,
          'the journal has begun new files meanwhile',
        )
        relay.comeBack()
      } else relay.cut()
    }
    await until(() => last >= TOTAL || wrong.length > 0, `event ${TOTAL}`, LONG_MS)
    t.same(wrong.slice(0, 5), [], 'no gap, no hole, no repeat, no other snapshot')
    t.equal(last, TOTAL)
    await client.close()
    await reading.catch(() => undefined)
  },
)
