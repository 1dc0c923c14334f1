// Publishes events until the disk of that folder is full, and on; then frees some. Prints what it saw.
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { EventBus } from '../../../src/core/events/bus.ts'
import { EventJournal } from '../../../src/core/events/journal.ts'
import { createLogger } from '../../../src/logger.ts'
import { until } from '../../fixtures/wait.ts'

const [folder = ''] = process.argv.slice(2)
const logger = createLogger('silent')
const open = () => new EventJournal({ folder: join(folder, 'journal'), logger, bootId: 'boot' })
const state = () =>
  (JSON.parse(readFileSync(join(folder, 'journal/state.json'), 'utf8')) as { state: string }).state
const ballast = join(folder, 'ballast')
writeFileSync(ballast, 'x'.repeat(524_288))
const bus = new EventBus({ journal: open() })
const publish = (bytes: number) => bus.publish('agent.started', { version: 'x'.repeat(bytes) })
while (state() === 'running') publish(1000)
for (let i = 0; i < 20; i++) publish(1000)
const onFull = state()
unlinkSync(ballast)
await until(() => {
  publish(1)
  return state() === 'running'
}, 'the journal to catch up')
const kept: number[] = []
for await (const { seq } of bus.history(1)) kept.push(seq)
const isWhole = kept.length === bus.seq && kept.every((seq, index) => seq === index + 1)
const again = open()
process.stdout.write(
  JSON.stringify({ onFull, isWhole, goesOn: again.epoch === bus.epoch && again.seq === bus.seq }),
)
