// A write beside somebody else's, at each moment of it.
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import t from 'tap'
import { CrontabCommand } from '../../../src/core/crontab/crontab-command.ts'
import { CrontabFiles } from '../../../src/core/crontab/crontab-file.ts'
import { CrontabStore } from '../../../src/core/crontab/store.ts'
import { CrontabTable } from '../../../src/core/crontab/table.ts'
import { CronHost, noCron } from '../../fixtures/crontab.ts'
import { placesOf } from './service-harness.ts'

const skip = noCron()
const OURS = '1 1 * * * /bin/echo ours\n'
/** How long each turn of the event loop takes: what an agent with much to do waits for is late. */
const TURN_MS = 30

await t.test('a line that is lost is told, whenever it was written', { skip }, async (t) => {
  const host = await CronHost.start(t)
  const { crontab, folders } = placesOf(host)
  const seen = { kept: 0, raced: 0 }
  const busy = setInterval(() => {
    for (const until = performance.now() + TURN_MS; performance.now() < until; );
  }, 1)
  t.teardown(() => clearInterval(busy))
  for (let delayMs = 0; delayMs <= 8 * TURN_MS; delayMs += TURN_MS / 2) {
    const line = `1 1 * * * /bin/echo ${randomUUID()}\n`
    const store = new CrontabStore({
      files: new CrontabFiles({ folders }),
      command: new CrontabCommand({ argv: crontab }),
    })
    // a process of its own, that our turns do not hold up
    const theirs = host.run(['sh', '-c', `sleep ${delayMs / 1000}; exec crontab -u alice -`], { input: line })
    const add = async (table: CrontabTable) =>
      CrontabTable.parse(Buffer.concat([Buffer.from(OURS), table.bytes]))
    const { isRace } = await store.write('alice', add, async () => undefined)
    await theirs
    const body = host.spooled('alice')?.toString() ?? ''
    // who overwrites ours with what was before is told at the next look
    const isWhole = body.includes(line) && body.includes(OURS)
    const isOverwritten = body.includes(line) && !body.includes(OURS)
    t.ok(isWhole || isRace || isOverwritten, `after ${delayMs} ms`)
    seen[isRace ? 'raced' : 'kept']++
    await host.run(['crontab', '-u', 'alice', '-r'])
  }
  t.ok(seen.kept > 0 && seen.raced > 0, `moments of both kinds: ${JSON.stringify(seen)}`)
})

await t.test('what others write where it lies is told too', { skip }, async (t) => {
  const host = await CronHost.start(t)
  const { crontab, folders } = placesOf(host)
  await host.install('alice', '5 5 * * * /bin/echo before\n')
  const spooled = join(folders[0] ?? '', 'alice')
  // whoever writes in the middle of our own `crontab`
  const between = ['sh', '-c', `echo '6 6 * * * /bin/echo theirs' >>"$0"; exec "$@"`, spooled, ...crontab]
  const add = async (table: CrontabTable) =>
    CrontabTable.parse(Buffer.concat([Buffer.from(OURS), table.bytes]))
  for (const [argv, isRace] of [
    [crontab, false],
    [between, true],
  ] as const) {
    const store = new CrontabStore({
      files: new CrontabFiles({ folders }),
      command: new CrontabCommand({ argv: argv as [string, ...string[]] }),
    })
    t.match(await store.write('alice', add, async () => undefined), { isChanged: true, isRace })
  }
})
