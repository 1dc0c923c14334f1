// Results while the disk of the journal is full, and after. Prints what came of them.
import { readdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { Runs } from '../../../src/core/crontab/runs.ts'
import { Spool } from '../../../src/core/crontab/spool.ts'
import { EventBus } from '../../../src/core/events/bus.ts'
import { createLogger } from '../../../src/logger.ts'
import { run, SHIM, USER } from './shim-harness.ts'

const [root = '', folder = ''] = process.argv.slice(2)
let logged = 0
const count = new Writable({
  write(_chunk, _encoding, done) {
    logged++
    done()
  },
})
const logger = createLogger('warn', count)
const bus = new EventBus()
const runs = new Runs({ folder, bus, now: Date.now, logger })
await runs.start()
const spool = new Spool({ root, runs, isEntry: () => true, logger })
await spool.add({ name: USER, uid: 0 })

const ballast = join(folder, 'ballast')
for (const size of [16_384, 1024, 64, 1])
  try {
    for (;;) writeFileSync(ballast, 'x'.repeat(size), { flag: 'a' })
  } catch {
    // full to that size
  }
// more than may be left of the block that the journal has already
await run([SHIM, '-s', root, 'job', '--', 'head -c 9000 /dev/zero | tr "\\0" x'])
const verdicts = () => runs.list({ limit: 10 }).map(({ verdict }) => verdict)
await spool.sweep()
await spool.sweep()
const whileFull = verdicts()
const inSpool = () => readdirSync(join(root, USER)).length
const left = inSpool()
unlinkSync(ballast)
await spool.sweep()
for (let tries = 0; inSpool() > 0 && tries < 500; tries++) await setTimeout(10)
const events = Array.from({ length: bus.seq }, (_, i) => bus.at(i + 1)?.type)
process.stdout.write(JSON.stringify({ whileFull, left, after: verdicts(), events, logged }))
await spool.stop()
