import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { EventBus } from '../../../src/core/events/bus.ts'
import { Nudge } from '../../../src/core/supervisor/nudge.ts'
import { ProcessTable } from '../../../src/core/supervisor/process-table.ts'
import { until } from '../../fixtures/wait.ts'

/** Has a child, wakes now and then, and never reaps: as supervisord's loop when a death came too early for it. */
const parentThatWakes = (loop: string) => `
import os, select, signal, time
signal.signal(signal.SIGCHLD, lambda *_: None)
child = os.fork()
if child == 0:
    os.execv('/bin/sleep', ['sleep', '60'])
print(child, flush=True)
poller = select.poll()
while True:
    ${loop}
`
const PARENTS = [
  { it: 'by a parent that wakes at any time', loop: 'time.sleep(0.3)', turns: 0 },
  { it: 'by one that has its turn each second, as an idle supervisord', loop: 'poller.poll(1000)', turns: 3 },
]
for (const { it, loop, turns } of PARENTS)
  await t.test(`a child that died and was not reaped ${it} is seen`, async (t) => {
    const parent = spawn('/usr/bin/python3', ['-c', parentThatWakes(loop)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const parentPid = parent.pid ?? 0
    const [line] = (await once(parent.stdout, 'data')) as [Buffer]
    const child = Number(line.toString())
    const stateOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /, '')[0]
    const runs = () => Number(readFileSync(`/proc/${parentPid}/schedstat`, 'latin1').split(' ')[2])
    await until(() => readFileSync(`/proc/${child}/comm`, 'latin1') === 'sleep\n', 'the child')
    let pokes = 0
    let changes = 0
    const nudge = new Nudge({
      table: new ProcessTable({ bus: new EventBus() }),
      poke: async () => void pokes++,
      onChildren: () => changes++,
      onGone: () => undefined,
    })
    t.teardown(() => {
      nudge.stop()
      parent.kill('SIGKILL')
    })
    nudge.watch(parentPid)
    const before = runs()
    await until(() => runs() >= before + turns && stateOf(parentPid) === 'S', 'the parent to sleep')
    t.equal(pokes, 0)
    process.kill(child, 'SIGKILL')
    await until(() => pokes >= 2, 'two pokes, one to reap and one to tell')
    t.equal(stateOf(child), 'Z')
    t.equal(changes, 0, 'the list of children is as it was')
  })
