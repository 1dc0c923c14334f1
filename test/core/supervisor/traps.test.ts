// The traps of supervisord that no other test of this folder is about; docs/supervisord-traps.md has the whole list.
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { EventBus } from '../../../src/core/events/bus.ts'
import { renderListenerSection } from '../../../src/core/supervisor/listener-section.ts'
import { ProcessSteps } from '../../../src/core/supervisor/process-steps.ts'
import { ProcessTable } from '../../../src/core/supervisor/process-table.ts'
import { SupervisorRpc } from '../../../src/core/supervisor/rpc.ts'
import { StateWatch } from '../../../src/core/supervisor/state-watch.ts'
import { createLogger } from '../../../src/logger.ts'
import { ADMIN, startStack } from '../../fixtures/stack.ts'
import { supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'

/** The one of the agent, with a list of what was asked for in batches. */
class CountingRpc extends SupervisorRpc {
  asked: unknown[] = []

  override async batch(...[calls, options]: Parameters<SupervisorRpc['batch']>): Promise<unknown[]> {
    this.asked.push(...calls.map(({ params }) => params[0]))
    return await super.batch(calls, options)
  }
}

await t.test('traps 2 to 5: nothing asks supervisord for the text of a log', (t) => {
  const sources = readdirSync('src', { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.name.endsWith('.ts'),
  )
  for (const { parentPath, name } of sources)
    t.notMatch(
      readFileSync(join(parentPath, name), 'utf8'),
      /['"`/](?:supervisor\.)?(?:(?:read|tail)(?:Process|Main)?(?:Std(?:out|err))?Log|(?:main)?logtail|clearProcessLogs?)\b/,
      name,
    )
  t.end()
})

await t.test('traps of logs against a real supervisord', async (t) => {
  const host = await supervisord(t, {
    programs: {
      raw: {
        command: `/bin/sh -c "printf 'caf\\351 \\360\\237\\230\\200 \\033[0m\\000 end\\n'; exec sleep 300"`,
      },
      out: {
        command: 'sleep 300',
        stdout_logfile: '/dev/stdout',
        stdout_logfile_maxbytes: 0,
        autostart: false,
      },
      syslog: { command: 'sleep 300', stdout_logfile: 'syslog', autostart: false },
      none: { command: 'sleep 300', stdout_logfile: 'NONE', autostart: false },
      redirected: { command: 'sleep 300', redirect_stderr: true, autostart: false },
    },
  })
  const { stack } = await startStack(t, host)
  const tail = (process: string, channel: 'stdout' | 'stderr' = 'stdout') =>
    stack.logs.tail(stack.processes.select([process], ADMIN), channel, {})

  await t.test(
    'trap 2: bytes that are not UTF-8 are replaced, an emoji, ESC and NUL come through',
    async (t) => {
      await until(
        () => existsSync(join(host.logDir, 'raw.out')) && lstatSync(join(host.logDir, 'raw.out')).size > 0,
        'it to write',
      )
      t.equal((await tail('raw')).text, 'caf\ufffd \u{1f600} \u001b[0m\0 end\n')
    },
  )

  const without = [
    { process: 'out', message: /\/dev/ },
    { process: 'syslog', message: /no stdout log/ },
    { process: 'none', message: /no stdout log: set stdout_logfile/ },
    { process: 'redirected', channel: 'stderr', message: /redirect_stderr/ },
  ] as const
  for (const { process, message, ...more } of without)
    await t.test(`${process} has no log to read, and the error says what to set`, async (t) => {
      await t.rejects(tail(process, 'channel' in more ? more.channel : 'stdout'), {
        code: 'LOG_UNAVAILABLE',
        message,
      })
    })

  await t.test('trap 6: clearing a log on /dev/stdout is refused, and the link of the host stays', (t) => {
    const before = lstatSync('/dev/stdout')
    t.match(stack.logs.clear(stack.processes.select(['out'], ADMIN)), [
      { ok: false, error: { name: 'LOG_UNAVAILABLE' } },
    ])
    t.equal(lstatSync('/dev/stdout').ino, before.ino)
    t.ok(lstatSync('/dev/stdout').isSymbolicLink())
    t.end()
  })

  await t.test('a log that is not there yet is no failure to clear', (t) => {
    t.match(stack.logs.clear(stack.processes.select(['redirected'], ADMIN)), [{ ok: true, changed: false }])
    t.end()
  })
})

await t.test('trap 8: supervisord is asked only of what it may have spawned a moment ago', async (t) => {
  const host = await supervisord(t, {
    programs: {
      web: { command: 'sleep 300', startsecs: 0 },
      off: { command: 'sleep 300', autostart: false },
    },
  })
  const { stack, waitState } = await startStack(t, host, { listener: true })
  await waitState('web', 'RUNNING')
  const { table, connection, observer } = stack
  const rpc = new CountingRpc({ url: host.url, username: '', password: '' })
  const logger = createLogger('silent')
  const steps = new ProcessSteps({
    rpc,
    table,
    watch: new StateWatch({ table, observer, poke: () => undefined, logger }),
  })
  const here = connection.status.identity?.pid ?? 0
  const asked = async (names: readonly string[], parent: number | null = here) => {
    rpc.asked = []
    await steps.noteYoung(
      names.map((name) => table.need(name)),
      parent,
      new AbortController().signal,
    )
    return rpc.asked
  }
  const { pid } = table.need('web')
  process.kill(Number(pid), 'SIGKILL')
  await until(() => table.need('web').pid !== null && table.need('web').pid !== pid, 'another one')
  t.same(await asked(['web']), ['web'], 'it was spawned a moment ago')
  await until(async () => (await asked(['web'])).length === 0, 'two seconds')
  t.same(await asked(['web', 'off']), ['off'], 'what is down may have been started')
  t.same(await asked(['web'], null), ['web'], 'where supervisord is not to be seen')
  t.same(await asked(['web'], 1), ['web'], 'a child of another')
  await host.kill('SIGSTOP')
  const late = steps.noteYoung([table.need('web')], here, AbortSignal.timeout(300))
  await t.rejects(late, 'an answer is needed in any case')
  await host.kill('SIGCONT')
})

await t.test('trap 7: a death wakes supervisord at once, and nothing does while all is quiet', async (t) => {
  const host = await supervisord(t, {
    programs: { web: { command: 'sleep 300' } },
    settings: { loglevel: 'trace' },
  })
  const { stack, states, waitState } = await startStack(t, host, { listener: true })
  await waitState('web', 'RUNNING')
  const pokes = () => readFileSync(host.mainLog, 'utf8').match(/called: supervisor.getState/g)?.length ?? 0
  let quiet = 0
  await until(async () => {
    const before = pokes()
    await new Promise((resolve) => setTimeout(resolve, 1200))
    quiet = before
    return pokes() === before
  }, 'a second without a call')
  process.kill(Number(stack.table.need('web').pid), 'SIGKILL')
  await until(() => states('web').some(({ to }) => to === 'EXITED'), 'the event')
  t.ok(pokes() > quiet, 'supervisord was woken for it')
})

await t.test(
  'trap 20: a shutdown of ten programs with logs is hurried: alone it takes seven seconds',
  async (t) => {
    const host = await supervisord(t, {
      programs: Object.fromEntries(
        Array.from({ length: 10 }, (_, i) => [`p${i}`, { command: 'sleep 300', priority: i + 1 }]),
      ),
    })
    const { stack } = await startStack(t, host)
    await until(() => stack.table.all().every(({ state }) => state === 'RUNNING'), 'all to run')
    await stack.service.shutdown(ADMIN, new AbortController().signal)
    await until(() => stack.connection.status.state === 'unreachable', 'its end', 4_000)
  },
)

await t.test('traps 13 and 22: what we write into its configuration is plain', (t) => {
  const paths = {
    python: '/usr/bin/python3',
    shimPath: '/opt/a%b/shim.py',
    socketPath: '/run/x/listener.sock',
  }
  const text = renderListenerSection({ ...paths, bufferSize: 2000, priority: -17 })
  t.match(text, /^[\n\x20-\x7e]+$/)
  t.match(text, '/opt/a%%b/shim.py')
  for (const bad of [
    '/a b',
    '/a;b',
    '/a\nb',
    '/a\r[program:evil]',
    '/ü',
    '/a"b',
    "/a'b",
    '/%(ENV_X)s',
    'relative',
    '/a#b',
  ])
    t.throws(
      () => renderListenerSection({ ...paths, shimPath: bad, bufferSize: 2000, priority: -17 }),
      { code: 'SUPERVISOR_FAULT' },
      JSON.stringify(bad),
    )
  t.end()
})

await t.test('RUNNING without a pid is flagged', (t) => {
  const table = new ProcessTable({ bus: new EventBus() })
  const entry = table.add('lost', 'lost')
  if (!entry) throw new Error('not added')
  const info = { name: 'lost', group: 'lost', start: 1, stop: 0, now: 2, spawnerr: '', exitstatus: 0, pid: 0 }
  table.place(entry, { ...info, statename: 'RUNNING', stdout_logfile: '', stderr_logfile: '' })
  t.same(table.view(entry).flags, ['running-without-pid'])
  t.end()
})
