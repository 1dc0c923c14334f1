// The long run of the fuzz: npm run soak [-- --seconds 600] [-- --seed N]. It ends with 1 at the first thing that is
// wrong, and prints the seed that repeats it.
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { fuzz, startFuzzed } from '../test/hostile/fuzz/run.ts'
import { hostFiles } from '../test/hostile/host-files.ts'

/** Of resident memory, between the first third of a run and its end. */
const GROWTH_BYTES = 48 * 1024 * 1024

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' } },
})
const seconds = Number(values.seconds)
const seed = Number(values.seed ?? process.env['FUZZ_SEED'] ?? randomInt(2 ** 31))
if (!(seconds > 0) || !Number.isSafeInteger(seed))
  throw new Error('usage: npm run soak -- [--seconds N] [--seed N]')

const undo: (() => unknown)[] = []
try {
  process.exitCode = (await soak()) ? 0 : 1
} finally {
  for (const task of undo.toReversed()) await task()
}

/** @returns whether nothing was found */
async function soak(): Promise<boolean> {
  say(`${seconds} s with FUZZ_SEED=${seed}`)
  const fuzzed = await startFuzzed({ teardown: (task) => void undo.push(task) })
  const { target } = fuzzed
  const { host } = target
  const files = hostFiles(host.folder)
  const { connections, frames, left, answers, rss } = await fuzz(fuzzed, { seed, seconds })
  const changed = hostFiles(host.folder).filter((line) => !files.includes(line))
  const early = rss[Math.floor(rss.length / 3)] ?? 0
  const grown = (rss.at(-1) ?? 0) - early
  say(`${frames} frames over ${connections} connections; ${left} right calls with an effect were left out`)
  for (const [word, count] of Object.entries(answers).toSorted(([, a], [, b]) => b - a))
    say(`  ${count} ${word}`)
  say(`memory: ${mib(early)} MiB, then ${mib(Math.max(...rss))} at most, ${mib(rss.at(-1) ?? 0)} at the end`)
  say(`healthz ${await target.health()}; files that changed: ${changed.join(', ') || 'none'}`)
  return changed.length === 0 && grown < GROWTH_BYTES && (await target.health()) === 200
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
