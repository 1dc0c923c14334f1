// Long runs: npm run soak sends mutated frames by every way in; npm run soak -- --chaos breaks the agent's surroundings
// under twenty clients, in an order of its own; npm run soak -- --steps kills the agent at each step of each change of a
// program, where the suite takes every second. --seconds says how long, --seed repeats another run. It ends with 1 at the
// first thing that is wrong.
import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import * as fc from 'fast-check'
import { ChaosHost, type Surroundings } from '../test/chaos/chaos-host.ts'
import { clockJumps } from '../test/chaos/scenarios/clock.ts'
import { noDescriptors } from '../test/chaos/scenarios/descriptors.ts'
import { fullDisk } from '../test/chaos/scenarios/disk.ts'
import type { Scenario } from '../test/chaos/scenarios/scenario.ts'
import { supervisordTroubles } from '../test/chaos/scenarios/supervisord.ts'
import { noNamespace } from '../test/fixtures/namespace.ts'
import { usageOf } from '../test/fixtures/usage.ts'
import { fuzz, startFuzzed } from '../test/hostile/fuzz/run.ts'
import { hostFiles } from '../test/hostile/host-files.ts'

/** Of resident memory, between the first third of a run and its end. */
const GROWTH_BYTES = 48 * 1024 * 1024
const DISK = '4m'
/** Orders of all scenarios that are drawn; no run gets to the last. */
const ORDERS = 1000

const { values } = parseArgs({
  options: {
    chaos: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '60' },
    steps: { type: 'boolean', default: false },
    seed: { type: 'string' },
  },
})
const seconds = Number(values.seconds)
const seed = Number(values.seed ?? process.env['FUZZ_SEED'] ?? randomInt(2 ** 31))
if (!(seconds > 0) || !Number.isSafeInteger(seed))
  throw new Error('usage: npm run soak -- [--chaos | --steps] [--seconds N] [--seed N]')

const undo: (() => unknown)[] = []
const scope = { teardown: (task: () => unknown) => void undo.push(task) }
const endAll = async () => {
  for (const task of undo.splice(0).toReversed()) await task()
}
// what was started ends with a run that is cut short, too
process.once('SIGINT', () => void endAll().finally(() => process.exit(130)))
if (!values.steps) say(`${seconds} s with seed ${seed}`)
try {
  process.exitCode = (await (values.steps ? everyStep() : values.chaos ? chaos() : frames())) ? 0 : 1
} finally {
  await endAll()
}

/** @returns whether nothing was found */
async function frames(): Promise<boolean> {
  const fuzzed = await startFuzzed(scope)
  const { target } = fuzzed
  const { host } = target
  const files = hostFiles(host.folder)
  const { connections, frames: count, left, answers, rss } = await fuzz(fuzzed, { seed, seconds })
  const changed = hostFiles(host.folder).filter((line) => !files.includes(line))
  say(`${count} frames over ${connections} connections; ${left} right calls with an effect were left out`)
  sayAnswers(answers)
  say(`healthz ${await target.health()}; files that changed: ${changed.join(', ') || 'none'}`)
  return isBounded(rss) && changed.length === 0 && (await target.health()) === 200
}

/** @returns whether nothing was found */
async function everyStep(): Promise<boolean> {
  const test = spawn('node_modules/.bin/tap', ['test/core/programs/crash.test.ts'], {
    env: { ...process.env, EVERY_STEP: '1' },
    stdio: 'inherit',
  })
  const [code] = (await once(test, 'close')) as [number | null]
  return code === 0
}

/** All scenarios again and again, each time in another order. @returns whether nothing was found */
async function chaos(): Promise<boolean> {
  const noDisk = noNamespace()
  if (noDisk !== false) say(`no full disk: ${noDisk}`)
  const surroundings: Surroundings = { hasClock: true, ...(noDisk === false ? { disk: DISK } : {}) }
  const scenarios = [
    ...supervisordTroubles,
    ...noDescriptors,
    ...clockJumps,
    ...(noDisk === false ? [fullDisk] : []),
  ]
  const whole = { minLength: scenarios.length, maxLength: scenarios.length }
  const orders = fc.sample(fc.shuffledSubarray(scenarios, whole), { seed, numRuns: ORDERS })
  const host = await ChaosHost.start(scope, surroundings)
  const endsAt = performance.now() + seconds * 1000
  const rss: number[] = []
  for (const scenario of orders.flat()) {
    if (performance.now() > endsAt) break
    if (!(await isSurvived(host, scenario))) return false
    rss.push(usageOf(host.agent.pid).rssBytes)
  }
  const { load } = host
  sayAnswers(load.answers)
  say(`${rss.length} times; ${load.trails[0]?.events} events; ${load.breaks} clients lost their connection`)
  const open = await host.end()
  const { code } = await host.agent.stop()
  say(`left open: ${open}; the agent ended with ${code}`)
  return isBounded(rss) && load.breaks === 0 && open === 0 && code === 0
}

async function isSurvived(host: ChaosHost, { it, befall }: Scenario): Promise<boolean> {
  const startedAt = performance.now()
  const wrong = await befall(host)
    .then(() => host.verdict())
    .catch((error: unknown) => [String(error), ...host.wrong()])
  say(`  ${wrong.length === 0 ? 'well' : 'WRONG'}: ${it} (${Math.round(performance.now() - startedAt)} ms)`)
  if (wrong.length === 0) return true
  for (const line of wrong) say(`    ${line}`)
  say(`the end of the agent's log:\n${host.agent.daemon.stderr().slice(-8000)}`)
  return false
}

/** Whether memory has not grown from the first third on. */
function isBounded(rss: readonly number[]): boolean {
  const early = rss[Math.floor(rss.length / 3)] ?? 0
  const last = rss.at(-1) ?? 0
  say(`memory: ${mib(early)} MiB, then ${mib(Math.max(...rss))} at most, ${mib(last)} at the end`)
  return last - early < GROWTH_BYTES
}

function sayAnswers(answers: Readonly<Record<string, number>>): void {
  for (const [word, count] of Object.entries(answers).toSorted(([, a], [, b]) => b - a))
    say(`  ${count} ${word}`)
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
