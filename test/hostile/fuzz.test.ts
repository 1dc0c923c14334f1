import { randomInt } from 'node:crypto'
import t from 'tap'
import { fuzz } from './fuzz/run.ts'
import { hostFiles } from './host-files.ts'
import { startTarget } from './target.ts'

const SECONDS = 10
const GROWTH_BYTES = 48 * 1024 * 1024

await t.test('mutated frames have no effect, and cost nothing but their connection', async (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31))
  t.comment(`FUZZ_SEED=${seed}`)
  const target = await startTarget(t)
  const files = hostFiles(target.host.folder)
  const { connections, frames, left, answers, rss } = await fuzz(target, { seed, seconds: SECONDS })
  t.comment(`${connections} connections, ${frames} frames, ${left} left out`, answers)
  t.ok(frames > 1000, `${frames} frames`)
  t.equal(await target.health(), 200)
  t.same(hostFiles(target.host.folder), files, 'no file of the host changed')
  const grown = (rss.at(-1) ?? 0) - (rss[Math.floor(rss.length / 3)] ?? 0)
  t.ok(grown < GROWTH_BYTES, `${rss.map((bytes) => Math.round(bytes / 2 ** 20)).join(' ')} MiB`)
})
