// Changes of programs on a disk that takes some more pages and no more, from none upwards. Prints what came of each.
import { readdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Wish } from '../../../src/core/programs/prepare.ts'
import { AgentError } from '../../../src/protocol/errors.ts'
import { fillDisk } from '../../fixtures/namespace.ts'
import { programHost } from './host.ts'

const PAGE = 4096
const [disk = ''] = process.argv.slice(2)
process.env['TMPDIR'] = disk
const undo: (() => unknown)[] = []
const { change, tree, stateDir, host } = await programHost(
  { teardown: (task) => undo.push(task) },
  { listener: false },
)
const sleeper = (name: string, command = '/bin/sleep 600') => ({
  action: 'put' as const,
  definition: { name, command, startSecs: 0, environment: { FILLER: 'x'.repeat(3000) } },
})
host.writeProgram('hand', { command: '/bin/sleep 600', startsecs: 0 })
writeFileSync(
  join(host.programDir, 'hand.conf'),
  '[program:hand]\ncommand=/bin/sleep 600\nstartsecs=0\n[program:also]\ncommand=/bin/sleep 600\nstartsecs=0\n',
)
await host.ctl('update')
await change(sleeper('web'), { verifyMs: 0 })
const wishes: Wish[] = [
  sleeper('web', '/bin/sleep 601'),
  sleeper('new'),
  { action: 'scale', name: 'web', processes: 2 },
  { action: 'adopt', name: 'hand' },
  { action: 'delete', name: 'web' },
]
const ballasts = [join(disk, 'ballast'), join(disk, 'ballast2')]
const outcomes: object[] = []
for (const wish of wishes)
  for (let pages = 0; ; pages++) {
    const before = JSON.stringify(tree())
    // the second one goes: so much room there is
    writeFileSync(ballasts[1] ?? '', 'x'.repeat(pages * PAGE))
    fillDisk(ballasts[0] ?? '')
    unlinkSync(ballasts[1] ?? '')
    const error: unknown = await change(wish, { verifyMs: 0 }).then(
      () => null,
      (failure: unknown) => failure,
    )
    unlinkSync(ballasts[0] ?? '')
    outcomes.push({
      action: wish.action,
      pages,
      code: error === null ? null : error instanceof AgentError ? error.code : 'INTERNAL',
      fault: error instanceof AgentError ? error.facts['fault'] : null,
      message: error instanceof Error ? error.message : '',
      isSame: JSON.stringify(tree()) === before,
      pending: readdirSync(join(stateDir, 'programs', 'pending')),
      temporary: readdirSync(host.programDir).filter((name) => name.startsWith('.')),
    })
    if (error === null || pages > 40) break
  }
process.stdout.write(JSON.stringify(outcomes))
for (const task of undo.toReversed()) await task()
process.exit(0)
