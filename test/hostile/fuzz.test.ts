import { randomInt } from 'node:crypto'
import t from 'tap'
import { fuzz, startFuzzed } from './fuzz/run.ts'
import { hostFiles } from './host-files.ts'

const SECONDS = 10
/** Answers of each way that only come where it leads to. */
const WAYS = [
  'viewer: ok',
  'admin: ok',
  'agent.sock: ok',
  'listener.sock: RESULT',
  'panel: nothing shown',
  'panel: ok',
]
const GROWTH_BYTES = 48 * 1024 * 1024

await t.test('mutated frames have no effect, and cost nothing but their connection', async (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31))
  t.comment(`FUZZ_SEED=${seed}`)
  const fuzzed = await startFuzzed(t)
  const { target } = fuzzed
  const files = hostFiles(target.host.folder)
  const { connections, frames, left, answers, rss } = await fuzz(fuzzed, { seed, seconds: SECONDS })
  t.comment(`${connections} connections, ${frames} frames, ${left} left out`, answers)
  t.ok(frames > 500, `${frames} frames`)
  for (const way of WAYS) t.ok((answers[way] ?? 0) > 0, `${way}: ${answers[way]}`)
  t.equal(await target.health(), 200)
  t.same(hostFiles(target.host.folder), files, 'no file of the host changed')
  const grown = (rss.at(-1) ?? 0) - (rss[Math.floor(rss.length / 3)] ?? 0)
  t.ok(grown < GROWTH_BYTES, `${rss.map((bytes) => Math.round(bytes / 2 ** 20)).join(' ')} MiB`)
})
