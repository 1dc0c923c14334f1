// Programs among others who change them at the same moment: a second panel, a person at a shell, an end of supervisord
// or of the agent.
import { execFile } from 'node:child_process'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { noNamespace, onSmallDisk } from '../../fixtures/namespace.ts'
import { ADMIN } from '../../fixtures/stack.ts'
import { type Supervisord, supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'
import { type ProgramHost, programHost, programsAt } from './host.ts'

const sleeper = (name: string, more: object = {}) => ({
  name,
  command: '/bin/sleep 600',
  startSecs: 0,
  ...more,
})
const put = (name: string, more: object = {}) => ({ action: 'put' as const, definition: sleeper(name, more) })
const surges = (host: Pick<Supervisord, 'programDir'>) =>
  readdirSync(host.programDir).filter((name) => name.includes('.surge'))
const pending = ({ stateDir }: ProgramHost) => readdirSync(join(stateDir, 'programs', 'pending'))

/** What runs of a program, by supervisord's own word. */
async function running(host: Supervisord, name: string): Promise<string[]> {
  const { stdout } = await host.ctl('status')
  return stdout
    .split('\n')
    .flatMap((line) => /^(\S+)\s+RUNNING/.exec(line)?.[1] ?? [])
    .filter((process) => process.startsWith(`${name}:`) || process.startsWith(`${name}.surge`))
    .map((process) => process.slice(process.indexOf(':') + 1))
    .toSorted()
}

const numbers = (name: string, count: number) =>
  Array.from({ length: count }, (_, at) => `${name}_${String(at).padStart(2, '0')}`)

await t.test('two panels race on one program: one wins, the other is told', async (t) => {
  const { change, tree, pids } = await programHost(t)
  await change(put('web'), { verifyMs: 0 })
  for (let round = 1; round <= 8; round++) {
    const wishes = [1, 2].map((panel) => put('web', { command: `/bin/sleep ${round}0${panel}` }))
    const outcomes = await Promise.allSettled(wishes.map((wish) => change(wish, { verifyMs: 0 })))
    const won = outcomes.flatMap((outcome, at) => (outcome.status === 'fulfilled' ? [at] : []))
    const lost = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
    t.equal(won.length, 1, `round ${round}`)
    t.match(lost, [{ code: 'REVISION_CONFLICT' }])
    t.match(tree()['agent-web.conf'], `command=/bin/sleep ${round}0${(won[0] ?? 0) + 1}\n`)
    t.equal(Object.keys(pids('web')).length, 1)
  }
})

await t.test('changes of different programs at the same time', async (t) => {
  const programs = await programHost(t)
  const { change, tree, host } = programs
  const names = Array.from({ length: 5 }, (_, at) => `p${at}`)
  const before = tree()
  const outcomes = await Promise.allSettled([
    ...names.map((name) => change(put(name, { processes: 2 }), { verifyMs: 0 })),
    change(put('bad', { command: '/bin/false', startSecs: 1, startRetries: 0 })),
  ])
  t.strictSame(
    outcomes.map((outcome) => (outcome.status === 'rejected' ? String(outcome.reason) : 'done')).slice(0, -1),
    names.map(() => 'done'),
  )
  t.match(outcomes.at(-1), { reason: { code: 'ROLLED_BACK' } })
  for (const name of names) t.strictSame(await running(host, name), numbers(name, 2))
  await Promise.all(names.map((name) => change({ action: 'scale', name, processes: 3 }, { verifyMs: 0 })))
  for (const name of names) t.strictSame(await running(host, name), numbers(name, 3))
  await Promise.all(names.map((name) => change({ action: 'delete', name })))
  t.strictSame(tree(), before)
  t.strictSame(pending(programs), [])
})

await t.test('a scaled program and those who do not know of that', async (t) => {
  const stateDir = mkdtempSync(join(tmpdir(), 'sa-state-'))
  t.teardown(() => rmSync(stateDir, { recursive: true, force: true }))
  const host = await supervisord(t)
  const undo: (() => unknown)[] = []
  const first = await programsAt({ teardown: (task) => undo.push(task) }, host, { stateDir })
  const worker = join(host.folder, 'worker.sh')
  writeFileSync(
    worker,
    'trap \'echo "$SUPERVISOR_GROUP_NAME" >> "$0.log"; exit 0\' TERM\nwhile :; do sleep 0.1; done\n',
  )
  /** The groups whose processes got their stop signal, one for each. */
  const signalled = () => (existsSync(`${worker}.log`) ? readFileSync(`${worker}.log`, 'utf8') : '')
  const scaled = async ({ change }: ProgramHost, name: string) => {
    await change(put(name, { processes: 2, command: `/bin/sh ${worker}` }), { verifyMs: 0 })
    await change({ action: 'scale', name, processes: 5 }, { verifyMs: 0 })
  }
  await scaled(first, 'web')
  const before = first.pids('web')

  await t.test('a restart of the agent', async (t) => {
    for (const task of undo.toReversed()) await task()
    const next = await programsAt(t, host, { stateDir })
    await next.programs.recover()
    await until(() => Object.keys(next.pids('web')).length === 5, 'the processes to be known')
    t.strictSame(next.pids('web'), before)
    t.match(await next.programs.service.get('web', ADMIN), { processes: 5, running: 5, drift: false })
    t.strictSame(surges(host), ['agent-web.surge1.conf'])
    t.strictSame(pending(next), [])
  })

  const programs = await programsAt(t, host, { stateDir })
  await t.test('an update by a person', async (t) => {
    await programs.stack.waitState('web.surge1:web_04', 'RUNNING')
    t.equal(signalled(), '', 'nobody was told to stop before')
    t.equal((await host.ctl('update')).code, 0)
    const updatedAt = Date.now()
    await until(() => signalled().split('web.surge1\n').length === 4, 'the surplus to get its stop signal')
    t.ok(Date.now() - updatedAt < 5_000)
    t.equal(signalled().split('web\n').length, 3, 'the two of the own group were restarted by the update')
    await until(() => surges(host).length === 0, 'the surge file to go')
    await until(async () => (await running(host, 'web')).length === 5, 'the right number to run')
    t.strictSame(await running(host, 'web'), numbers('web', 5), 'each of them once')
    t.match(await programs.programs.service.get('web', ADMIN), { processes: 5 })
  })

  await t.test('a restart of supervisord', async (t) => {
    await scaled(programs, 'mail')
    t.strictSame(surges(host), ['agent-mail.surge1.conf'])
    const pid = programs.pids('mail')['mail:mail_00']
    t.equal((await host.ctl('reload')).code, 0)
    await until(() => surges(host).length === 0, 'the surge file to go')
    await until(async () => (await running(host, 'mail')).length === 5, 'the right number to run')
    t.strictSame(await running(host, 'mail'), numbers('mail', 5))
    await until(() => {
      const now = programs.pids('mail')['mail:mail_00']
      return now !== undefined && now !== pid
    }, 'memory to know of it')
    await until(() => pending(programs).length === 0, 'nothing to be left to do')
  })
})

await t.test('surplus is folded away by a supervisord that comes back', async (t) => {
  const programs = await programHost(t)
  const { change, host, stack, tree } = programs
  const { upkeep } = programs.programs
  const worker = join(host.folder, 'worker.sh')
  writeFileSync(
    worker,
    'case "$SUPERVISOR_GROUP_NAME" in *.surge*) trap "" TERM;; esac\nwhile :; do sleep 0.1; done\n',
  )
  await change(put('web', { command: `/bin/sh ${worker}` }), { verifyMs: 0 })
  await change({ action: 'scale', name: 'web', processes: 2 }, { verifyMs: 0 })
  const before = tree()
  const surge = () => stack.stack.table.get('web.surge1:web_01')
  const isFolded = async () => {
    await until(() => surges(host).length === 0 && !surge(), 'the surge group and its file to go')
    await until(() => pending(programs).length === 0, 'nothing to be left to do')
    t.strictSame(await running(host, 'web'), numbers('web', 2))
  }

  await t.test('not before its files can be seen', async (t) => {
    upkeep.stop()
    await host.ctl('update', 'web')
    await until(() => stack.stack.table.get('web:web_01')?.state === 'RUNNING', 'the twin to run')
    renameSync(host.configFile, `${host.configFile}.away`)
    upkeep.start()
    // however often it looks, by itself too
    for (let looks = 0; looks < 30; looks++) {
      await upkeep.fold()
      await setTimeout(10)
    }
    t.strictSame(tree(), before)
    t.equal(surge()?.state, 'RUNNING', 'nothing is done that could not be found again')
  })
  await t.test('also when it ends in the middle of that', async (t) => {
    renameSync(`${host.configFile}.away`, host.configFile)
    await until(() => surge()?.state === 'STOPPING', 'the surplus to be told to stop')
    t.strictSame(pending(programs), ['web.json'])
    await host.kill('SIGKILL')
    await until(() => !stack.stack.connection.isUp, 'the end of supervisord to be known')
    await host.start()
    await until(() => stack.stack.connection.isUp, 'supervisord to be known again')
    await isFolded()
  })
})

await t.test('numbers in the name of a program that was taken over are none of its processes', async (t) => {
  const { change, host, stack, programs } = await programHost(t)
  for (const name of ['worker1', 'worker2'])
    host.writeProgram(name, { command: '/bin/sleep 600', startsecs: 0, redirect_stderr: true })
  await host.ctl('update')
  for (const name of ['worker1', 'worker2']) {
    await stack.waitState(name, 'RUNNING')
    await change({ action: 'adopt', name })
    const { program } = await change({ action: 'scale', name, processes: 4 }, { verifyMs: 0 })
    t.match(program, { processes: 4, running: 4 })
    await programs.upkeep.fold()
    t.match(await programs.service.get(name, ADMIN), { processes: 4, running: 4 })
  }
  t.equal(surges(host).length, 2)
})

await t.test('an end of supervisord in the middle of a change: undone when it is back', async (t) => {
  const programs = await programHost(t)
  const { change, host, tree, stack } = programs
  await change(put('web'), { verifyMs: 0 })
  const before = tree()
  for (const wish of [
    put('web', { command: '/bin/sleep 601' }),
    put('new'),
    { action: 'delete' as const, name: 'web' },
  ])
    await t.test(`${wish.action} ${'name' in wish ? wish.name : wish.definition.name}`, async (t) => {
      const isDelete = wish.action === 'delete'
      let killing: Promise<void> | undefined
      const orphans = host.children()
      const end = (text: string) => {
        if (text.startsWith(isDelete ? 'supervisord has read' : 'added') || text.startsWith('restarted'))
          killing = host.kill('SIGKILL')
      }
      await t.rejects(change(wish, { verifyMs: 60_000, onStep: end }), {
        code: /^(?:ROLLED_BACK|SUPERVISOR_UNREACHABLE)$/,
      })
      await killing
      for (const pid of orphans) kill(pid)
      t.strictSame(tree(), before, 'its files are as they were already')
      await host.start()
      await until(() => stack.stack.connection.isUp, 'supervisord to be known again')
      await until(() => pending(programs).length === 0, 'it to be undone')
      await until(async () => (await running(host, 'web')).length === 1, 'what was before to run')
      t.strictSame(await running(host, 'new'), [])
      t.strictSame(tree(), before)
    })
  t.ok(stack.events().some(({ type }) => type === 'program.rolledBack'))
})

await t.test('what somebody else has under a name or in a file is left alone', async (t) => {
  const { change, host, tree, stack, programs } = await programHost(t)
  host.writeProgram('gone', { command: '/bin/sleep 600', startsecs: 0 })
  await host.ctl('update')
  await stack.waitState('gone', 'RUNNING')
  const { pid } = stack.stack.table.need('gone')
  rmSync(join(host.programDir, 'gone.conf'))
  writeFileSync(join(host.programDir, 'agent-mine.conf'), '[program:other]\ncommand=/bin/sleep 600\n')
  for (const name of ['gone', 'mine'])
    await t.rejects(
      change(put(name)),
      { code: 'PROGRAM_INVALID', facts: { issues: [{ path: 'name' }] } },
      name,
    )
  t.equal(stack.stack.table.need('gone').pid, pid)
  rmSync(join(host.programDir, 'agent-mine.conf'))

  const made = await change(put('web'), { verifyMs: 0 })
  const file = join(host.programDir, 'agent-web.conf')
  const text = `${tree()['agent-web.conf']}\n[program:lodger]\ncommand=/bin/sleep 600\n`
  writeFileSync(file, text)
  const { revision: ifRevision, drift } = await programs.service.get('web', ADMIN)
  t.equal(drift, true)
  await t.rejects(change({ action: 'adopt', name: 'web' }), { code: 'PROGRAM_INVALID' })
  await t.rejects(change({ action: 'delete', name: 'web', ifRevision }), { code: 'PROGRAM_INVALID' })
  await t.rejects(change({ action: 'restore', name: 'web', revision: made.program?.revision ?? '' }), {
    code: 'PROGRAM_INVALID',
  })
  t.ok(existsSync(file))
  t.equal(tree()['agent-web.conf'], text)
})

await t.test('a disk that is full at any write', { skip: noNamespace() }, async (t) => {
  const disk = mkdtempSync(join(tmpdir(), 'sa-disk-'))
  t.teardown(() => rmSync(disk, { recursive: true, force: true }))
  const [command = '', ...words] = onSmallDisk(disk, '3m')
  const runner = join(import.meta.dirname, 'full-disk-programs.ts')
  const { stdout } = await promisify(execFile)(command, [
    ...words,
    process.execPath,
    '--import',
    'tsx',
    runner,
    disk,
  ])
  const outcomes = JSON.parse(stdout) as { action: string; code: string | null; message: string }[]
  const failed = outcomes.filter(({ code }) => code !== null)
  for (const outcome of failed)
    t.match(outcome, {
      code: 'SUPERVISOR_FAULT',
      fault: 'NOT_WRITTEN',
      message: /no space left/,
      isSame: true,
    })
  for (const outcome of outcomes) t.match(outcome, { pending: [], temporary: [] })
  const last = outcomes.filter(({ code }) => code === null).map(({ action }) => action)
  t.strictSame(last, ['put', 'put', 'scale', 'adopt', 'delete'], 'with enough room each is done')
  for (const file of [
    'pending/web.json',
    'agent-web.conf',
    'agent-new.conf',
    'programs/web.json',
    '/hand.conf',
  ])
    t.ok(
      failed.some(({ message }) => message.includes(`${file} cannot be written`)),
      `${file} was one that failed`,
    )
})

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it ended with supervisord
  }
}
