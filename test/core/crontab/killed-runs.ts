// An agent that kills itself in the moment before or after it tells one kind of event of runs.
import { join } from 'node:path'
import { Runs } from '../../../src/core/crontab/runs.ts'
import { Spool } from '../../../src/core/crontab/spool.ts'
import { EventBus } from '../../../src/core/events/bus.ts'
import { EventJournal } from '../../../src/core/events/journal.ts'
import { createLogger } from '../../../src/logger.ts'
import { USER } from './shim-harness.ts'

const [root = '', folder = '', type = '', when = ''] = process.argv.slice(2)
const logger = createLogger('silent')
const journal = new EventJournal({ folder: join(folder, 'events'), logger, now: Date.now })

class Mortal extends EventBus {
  override publish(...args: Parameters<EventBus['publish']>): void {
    if (args[0] === type && when === 'before') process.kill(process.pid, 'SIGKILL')
    super.publish(...args)
    if (args[0] === type && when === 'after') process.kill(process.pid, 'SIGKILL')
  }
}

const runs = new Runs({ folder: join(folder, 'runs'), bus: new Mortal({ journal }), now: Date.now, logger })
await runs.start()
runs.missed({ id: 'late', user: USER, dueAtMs: 60_000 })
const spool = new Spool({ root, runs, isEntry: () => true, logger })
await spool.add({ name: USER, uid: process.getuid?.() ?? 0 })
await spool.sweep()
await spool.stop()
