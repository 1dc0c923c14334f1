// Sends mutated frames for a while, by three ways in, and looks that they cost nothing but their connection.
import { connect } from 'node:net'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { until } from '../../fixtures/wait.ts'
import { frame } from '../../transports/support.ts'
import { Attack } from '../attack.ts'
import type { Target } from '../target.ts'
import { Wire, wordOf } from '../wire.ts'
import { isEffective } from './corpus.ts'
import { envelope, message } from './mutation.ts'

export interface FuzzOptions {
  seed: number
  seconds: number
}

export interface FuzzReport {
  connections: number
  frames: number
  /** Right calls with an effect that came out by chance, and were not sent with an admin's token. */
  left: number
  /** Answers by name. */
  answers: Record<string, number>
  /** Resident memory each second. */
  rss: number[]
}

const BATCH = { minLength: 10, maxLength: 60 }
const LAST = 'the last of all'
const LAST_CALL = JSON.stringify({ jsonrpc: '2.0', id: LAST, method: 'rpc.cancel', params: { id: LAST } })
const LAST_ANSWER = `"id":"${LAST}"`
/** Answers that say the agent is at fault. */
const FAULTS = /^INTERNAL|with the wrong code|neither result/

/** @throws {Error} what went wrong, with the seed that repeats it */
export async function fuzz(target: Target, { seed, seconds }: FuzzOptions): Promise<FuzzReport> {
  const report: FuzzReport = { connections: 0, frames: 0, left: 0, answers: {}, rss: [] }
  const workers = target.workers()
  const sample = setInterval(() => {
    if (target.isAlive()) report.rss.push(target.usage().rssBytes)
  }, 1000)
  const look = (words: readonly string[]) => {
    for (const word of words) report.answers[word] = (report.answers[word] ?? 0) + 1
    const fault = words.find((word) => FAULTS.test(word))
    if (fault !== undefined) throw new Error(`answered ${fault}`)
    if (!target.isAlive()) throw new Error(`the daemon ended: ${target.agent.daemon.stderr().slice(-3000)}`)
    const [defect] = target.defects()
    if (defect !== undefined) throw new Error(`the log says: ${defect}`)
    if (target.workers() !== workers)
      throw new Error(`workers were touched: ${workers}, now ${target.workers()}`)
  }
  const run = async (frames: fc.Arbitrary<Buffer>, send: (batch: Buffer[]) => Promise<string[]>) => {
    const property = fc.asyncProperty(fc.array(frames, BATCH), async (batch) => {
      report.connections++
      report.frames += batch.length
      look(await send(batch))
    })
    const details = await fc.check(property, {
      seed,
      numRuns: 1_000_000_000,
      interruptAfterTimeLimit: seconds * 1000,
      endOnFailure: true,
    })
    if (details.failed) throw failure(details)
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
  try {
    await Promise.all([
      run(envelope, async (batch) => await overWebSocket(target, target.tokens.viewer, batch)),
      run(message, asAdmin),
      run(message, async (batch) => await overSocket(join(target.agent.runDir, 'agent.sock'), batch)),
    ])
  } finally {
    clearInterval(sample)
  }
  return report
}

/** What went wrong, and how to come there again; the frames as text, cut. */
function failure({
  seed,
  counterexamplePath,
  counterexample,
  errorInstance,
}: fc.RunDetails<[Buffer[]]>): Error {
  const what = errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
  const frames = counterexample?.[0].map((bytes) => bytes.toString().slice(0, 200)).join('\n') ?? ''
  return new Error(
    `FUZZ_SEED=${seed} (${counterexamplePath}): ${what.slice(0, 3000)}\n${frames.slice(0, 6000)}`,
    {
      cause: errorInstance,
    },
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
