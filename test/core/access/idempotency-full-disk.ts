// Calls with a key while the disk of that folder is full, and after. Prints what came of them.
import { readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { IdempotencyKeys, type KeyedCall } from '../../../src/core/access/idempotency.ts'
import { createLogger } from '../../../src/logger.ts'
import { AgentError } from '../../../src/protocol/errors.ts'

const [disk = ''] = process.argv.slice(2)
const folder = join(disk, 'results')
const ballast = join(disk, 'ballast')
const logger = createLogger('silent')
const opened = async () => {
  const made = new IdempotencyKeys({ folder, logger, now: Date.now })
  await made.start()
  return made
}
const call = (key: string, more: Partial<KeyedCall> = {}): KeyedCall => ({
  owner: 'o',
  key,
  method: 'process.stop',
  params: {},
  secrets: [],
  mayRunUnrecorded: false,
  signal: new AbortController().signal,
  observe: () => Promise.resolve({}),
  ...more,
})
const keys = await opened()
const run = (
  known: IdempotencyKeys,
  one: KeyedCall,
  task = () => Promise.resolve<Record<string, unknown>>({}),
) => known.run(one, task, () => false)
const fill = () => {
  for (const size of [16_384, 1024, 64, 1])
    try {
      for (;;) writeFileSync(ballast, 'x'.repeat(size), { flag: 'a' })
    } catch {
      // full to that size
    }
}

await run(keys, call('key-before'))
// the disk fills up while one runs: its end cannot be written
await run(keys, call('key-cut-end'), () => {
  fill()
  // the block that is begun takes some more
  const path = join(folder, readdirSync(folder)[0] ?? '')
  const free = 4096 - (readFileSync(path).length % 4096)
  if (free > 0) writeFileSync(path, `${' '.repeat(free - 1)}\n`, { flag: 'a' })
  return Promise.resolve({ ended: true })
})
const cutEnd = await run(keys, call('key-cut-end'))
let ranRefused = false
const refused = await run(keys, call('key-refused'), () => {
  ranRefused = true
  return Promise.resolve({})
}).catch((error: unknown) => error)
const admin = call('key-admin', { owner: 'local:admin', mayRunUnrecorded: true })
const adminRan = await run(keys, admin, () => Promise.resolve({ ran: true }))
const adminAgain = await run(keys, admin)

unlinkSync(ballast)
const again = await run(keys, call('key-refused'), () => Promise.resolve({ ran: true }))
const late = await opened()
const kept = await run(late, call('key-cut-end'))
keys.stop()
late.stop()
process.stdout.write(
  JSON.stringify({
    refused:
      refused instanceof AgentError
        ? { code: refused.code, rule: refused.facts['rule'], reason: refused.facts['reason'] }
        : String(refused),
    ranRefused,
    adminRan: adminRan['ran'] === true,
    adminReplayed: adminAgain['ran'] === true && adminAgain['replayed'] === true,
    cutEndReplayed: cutEnd['ended'] === true && cutEnd['replayed'] === true,
    freeAgain: again['ran'] === true,
    keptOverRestart: kept['ended'] === true && kept['replayed'] === true,
  }),
)
