// An agent as far as results go, to be killed: reads a spool until then. Says when all that was there has been read.
import { Runs } from '../../../src/core/crontab/runs.ts'
import { Spool } from '../../../src/core/crontab/spool.ts'
import { EventBus } from '../../../src/core/events/bus.ts'
import { createLogger } from '../../../src/logger.ts'
import { USER } from './shim-harness.ts'

const [root = '', folder = ''] = process.argv.slice(2)
const logger = createLogger('warn')
const runs = new Runs({ folder, bus: new EventBus(), now: Date.now, logger })
await runs.start()
const spool = new Spool({ root, runs, isEntry: () => true, logger })
spool.start()
process.stdout.write('reading\n')
await spool.add({ name: USER, uid: process.getuid?.() ?? 0 })
process.stdin.resume()
