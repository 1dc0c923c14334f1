// Makes one change of a program and ends by SIGKILL at the step that it is told: a process of its own for the crash
// matrix. Without a step it ends well and prints how many there were.
import { programsAt } from './host.ts'

const { place, stateDir, wish, step } = JSON.parse(process.argv[2] ?? '')
const undo: (() => unknown)[] = []
const { change } = await programsAt({ teardown: (task) => undo.push(task) }, place, {
  stateDir,
  listener: false,
})
let steps = 0
await change(wish, {
  verifyMs: 0,
  onStep: () => {
    if (++steps === step) process.kill(process.pid, 'SIGKILL')
  },
})
for (const task of undo.toReversed()) await task()
process.stdout.write(`${steps}\n`)
