// Sends mutated frames for a while, by every way in, and looks that they cost nothing but their connection.
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { disagreement } from '../../fixtures/agreement.ts'
import { until } from '../../fixtures/wait.ts'
import { frame } from '../../transports/support.ts'
import { Attack } from '../attack.ts'
import { startTarget, type Target } from '../target.ts'
import { Wire, wordOf } from '../wire.ts'
import { CORPUS, isEffective, LAST_ANSWER, LAST_CALL } from './corpus.ts'
import { overListener, said } from './listener.ts'
import { envelopes, messages, wireOf } from './mutation.ts'
import { HostilePanel } from './panel.ts'
import { framesOf, plan } from './panel-plan.ts'

export interface FuzzOptions {
  seed: number
  seconds: number
}

export interface FuzzReport {
  connections: number
  frames: number
  /** Right calls with an effect that came out by chance, and were not sent with an admin's token. */
  left: number
  /** Answers by way and name. */
  answers: Record<string, number>
  /** Resident memory each second. */
  rss: number[]
}

/** An agent with everything that is sent to, the panel that it dials among it. */
export interface Fuzzed {
  target: Target
  panel: HostilePanel
}

/** A way in: what one connection brings, and how it is sent. */
interface Way<T> {
  name: string
  batches: fc.Arbitrary<T>
  framesOf: (batch: T) => Buffer[]
  /** @returns the answers in words */
  send: (batch: T) => Promise<string[]>
}

const BATCH = { minLength: 10, maxLength: 60 }
/** Answers that say the agent is at fault. */
const FAULTS = /^INTERNAL|with the wrong code|neither result/
const TRUE_MS = 30_000

export async function startFuzzed(t: { teardown(task: () => unknown): void }): Promise<Fuzzed> {
  const panel = await HostilePanel.start(t)
  return { panel, target: await startTarget(t, panel.agent) }
}

/** @throws {Error} what went wrong, with the seed that repeats it */
export async function fuzz({ target, panel }: Fuzzed, { seed, seconds }: FuzzOptions): Promise<FuzzReport> {
  const report: FuzzReport = { connections: 0, frames: 0, left: 0, answers: {}, rss: [] }
  const workers = target.workers()
  const sample = setInterval(() => {
    if (target.isAlive()) report.rss.push(target.usage().rssBytes)
  }, 1000)
  const look = (way: string, words: readonly string[]) => {
    for (const word of words) {
      const name = `${way}: ${word}`
      report.answers[name] = (report.answers[name] ?? 0) + 1
    }
    const fault = words.find((word) => FAULTS.test(word))
    if (fault !== undefined) throw new Error(`answered ${fault}`)
    if (!target.isAlive()) throw new Error(`the daemon ended: ${target.agent.daemon.stderr().slice(-3000)}`)
    const [defect] = target.defects()
    if (defect !== undefined) throw new Error(`the log says: ${defect}`)
    if (target.workers() !== workers)
      throw new Error(`workers were touched: ${workers}, now ${target.workers()}`)
  }
  const run = async <T>(way: Way<T>) => {
    const property = fc.asyncProperty(way.batches, async (batch) => {
      report.connections++
      report.frames += way.framesOf(batch).length
      look(way.name, await way.send(batch))
    })
    const details = await fc.check(property, {
      seed,
      numRuns: 1_000_000_000,
      interruptAfterTimeLimit: seconds * 1000,
      endOnFailure: true,
    })
    if (details.failed) throw failure(details, way)
  }
  const asAdmin = async (batch: Buffer[]) => {
    const harmless = batch.filter((bytes) => !isEffective(bytes))
    report.left += batch.length - harmless.length
    return await overWebSocket(
      target,
      target.tokens.admin,
      harmless.map((bytes) => frame(1, bytes)),
    )
  }
  const inRunDir = (file: string) => join(target.agent.runDir, file)
  const batches = fc.array(messages(CORPUS), BATCH)
  const itself = (batch: Buffer[]) => batch
  try {
    await Promise.all([
      run({
        name: 'viewer',
        batches: fc.array(envelopes(messages(CORPUS), { isMasked: true }).map(wireOf), BATCH),
        framesOf: itself,
        send: (batch) => overWebSocket(target, target.tokens.viewer, batch),
      }),
      run({ name: 'admin', batches, framesOf: itself, send: asAdmin }),
      run({
        name: 'agent.sock',
        batches,
        framesOf: itself,
        send: (batch) => overSocket(inRunDir('agent.sock'), batch),
      }),
      run({
        name: 'listener.sock',
        batches: said(runOf(target.host.pid)),
        framesOf: itself,
        send: (batch) => overListener(inRunDir('listener.sock'), batch),
      }),
      run({ name: 'panel', batches: plan, framesOf, send: (batch) => panel.hold(batch) }),
    ])
    look('panel', await panel.keepRules())
    await until(() => isTrue(target), 'the listener to be back and memory to be true', TRUE_MS)
  } finally {
    clearInterval(sample)
  }
  return report
}

/** A run of supervisord, by its pid and the kernel's clock at its start. */
function runOf(pid: number): { supervisord: number; started: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { supervisord: pid, started: Number(fields[19]) }
}

/** The real shim is connected again, and the agent knows what supervisord knows. */
async function isTrue({ host, admin }: Target): Promise<boolean> {
  const { supervisor } = await admin.call('agent.info', {})
  if (supervisor.eventSource !== 'listener') throw new Error(`events come by ${supervisor.eventSource}`)
  const wrong = await disagreement(host, admin)
  if (wrong !== '') throw new Error(wrong)
  return true
}

/** What went wrong, and how to come there again; the frames as text, cut. */
function failure<T>(
  { seed, counterexamplePath, counterexample, errorInstance }: fc.RunDetails<[T]>,
  { name, framesOf: frames }: Way<T>,
): Error {
  const what = errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
  const sent = counterexample === null ? [] : frames(counterexample[0])
  const text = sent.map((bytes) => bytes.toString().slice(0, 200)).join('\n')
  return new Error(
    `FUZZ_SEED=${seed} (${counterexamplePath}), ${name}: ${what.slice(0, 3000)}\n${text.slice(0, 6000)}`,
    { cause: errorInstance },
  )
}

/** Sends all in one write and waits for the end, or for the answer to a good call behind it. */
async function overWebSocket(target: Target, token: string, frames: Buffer[]): Promise<string[]> {
  const attack = new Attack(target, 1)
  try {
    const wire = await until(() => attack.session(token).catch(() => null), 'a session')
    wire.write(Buffer.concat(frames))
    await settled(wire)
    return wire.replies().map(wordOf)
  } finally {
    await attack.end()
  }
}

/** The connection ended, or the agent is waiting for the rest of a frame, or it answered what came last. */
async function settled(wire: Wire): Promise<void> {
  wire.send(LAST_CALL)
  // behind a frame that claims more than it has, the call is part of it
  let looks = 0
  await until(
    () =>
      wire.isEnded ||
      wire.client.closeCode !== undefined ||
      ++looks > 30 ||
      wire.client.bytes.includes(LAST_ANSWER),
    'the answer to the last call',
  )
}

/** A line for each message; the same session otherwise. */
async function overSocket(path: string, batch: Buffer[]): Promise<string[]> {
  const socket = connect(path)
  let text = ''
  let isEnded = false
  socket.on('error', () => undefined)
  socket.once('close', () => (isEnded = true))
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  const lines = [...batch, Buffer.from(LAST_CALL)].map((bytes) => Buffer.concat([bytes, Buffer.from('\n')]))
  socket.write(Buffer.concat(lines))
  await until(() => isEnded || text.includes(LAST_ANSWER), 'the answer to the last call')
  socket.destroy()
  return Wire.repliesOf(text).map(wordOf)
}
