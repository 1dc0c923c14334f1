// `agent cron` over a socket, against a real crontab; every command of docs/crontabs.md is run, in its order.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { ejectAll } from '../../src/cli/commands/eject-all.ts'
import { parseConfig } from '../../src/config.ts'
import { LOCAL_ADMIN } from '../../src/core/access/local-principals.ts'
import { offlineCrontabs } from '../../src/core/crontab/stack.ts'
import { claimFolder } from '../../src/core/host/sole-agent.ts'
import { Policy } from '../../src/core/policy/policy.ts'
import { createLogger } from '../../src/logger.ts'
import { LocalTransport } from '../../src/transports/local.ts'
import { placesOf } from '../core/crontab/service-harness.ts'
import { launch } from '../fixtures/agent-process.ts'
import { CronHost, noCron } from '../fixtures/crontab.ts'
import { parts, somebody } from '../server/support.ts'

const CRONTABS = {
  policy: new Policy({
    rules: parseConfig('', 'test').policy,
    file: 'test.yaml',
    supervisord: async () => ({ uid: null, searchPath: null }),
  }),
  cronDrift: 'report' as const,
  logger: createLogger('silent'),
}
const PAPER = resolve(import.meta.dirname, '../../docs/crontabs.md')

/** The words of each command in the shell blocks of the paper, after `agent`. */
function commands(): string[][] {
  const blocks = [...readFileSync(PAPER, 'utf8').matchAll(/^```sh\n(.*?)^```$/gms)].map(
    ([, text = '']) => text,
  )
  return blocks
    .join('')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) =>
      [...line.matchAll(/'([^']*)'|((?:[^'\s]|'[^']*')+)/g)].map(([, quoted, word = '']) => quoted ?? word),
    )
    .map((words) => words.slice(1))
}

await t.test('agent cron', { skip: noCron() }, async (t) => {
  const host = await CronHost.start(t, [
    { name: 'www-data', uid: 1501 },
    { name: 'one', uid: 1502 },
    { name: 'two', uid: 1503 },
  ])
  const { sessions } = await parts(t, { cron: placesOf(host) })
  const serve = async (name: string, principal: typeof LOCAL_ADMIN) => {
    const path = join(host.folder, name)
    const socket = new LocalTransport({
      path,
      mode: 0o600,
      principal,
      open: sessions.open.bind(sessions),
      logger: createLogger('silent'),
    })
    await socket.start()
    t.teardown(() => socket.stop())
    return path
  }
  const admin = await serve('admin.sock', LOCAL_ADMIN)
  const reader = await serve('reader.sock', somebody({ scopes: new Set(['read']), isRemote: false }))
  const agent = (...words: string[]) => launch(['--socket', admin, ...words]).outcome
  const body = (user = 'www-data') => String(host.spooled(user))
  interface Listed {
    entries: { id?: string; command?: string; options?: object; preset?: string; revision: string }[]
  }
  const entry = async (id: string) =>
    (JSON.parse((await agent('--json', 'cron', 'ls')).stdout) as Listed).entries.find((one) => one.id === id)

  await t.test('what the paper says', async (t) => {
    const all = commands()
    t.ok(all.length > 12)
    const said = new Map<string, string>()
    for (const words of all) {
      const { code, stdout, stderr } = await agent(...words)
      t.equal(code, words[1] === 'plan' ? 10 : 0, `${words.join(' ')}\n${stderr}`)
      said.set(words.slice(1).join(' '), stdout)
      if (words[1] === 'plan') {
        t.match(stdout, /^\+\* \* \* \* \* .* 'cd \/srv\/shop && php artisan schedule:run'$/m)
        t.notMatch(body(), 'artisan', 'a plan does nothing')
      }
      if (words[1] === 'add' && words[3] === 'report')
        t.match(body(), / -o -t 600 report -- /, "a flag behind the command is the entry's")
      if (words[1] === 'add' && words[3] === 'scheduler') {
        t.match(body(), /cronrun .* scheduler -- 'cd \/srv\/shop && php artisan schedule:run'\n/)
        t.match(await agent('cron', 'plan', ...words.slice(2)), {
          code: 0,
          stdout: /^nothing would change\n/,
        })
      }
    }
    t.match(said.get('presets'), /^PRESET .*\nlaravel-scheduler .*\n.*\ncustom +Any command/s)
    t.match(said.get('presets backup-mysql --show'), /^backup-mysql: .*databases +\[\].*umask 077/s)
    t.match(said.get('ls'), /^report +Report +www-data +15 6 \* \* 1-5 +enabled +\d{4}-/m)
    t.match(said.get('disable report'), /^report Report: .*disabled/)
    const { command, ...nightly } = (await entry('nightly')) ?? {}
    t.match(nightly, {
      schedule: '30 2 * * *',
      preset: 'backup-mysql',
      options: { keep: 30, databases: ['shop'], name: 'shop' },
      noOverlap: true,
    })
    t.match(command, / -gt 30 /)
    t.match(
      body(),
      /# scheduler Laravel scheduler\n\* \* \* \* \* cd \/srv\/shop && php artisan schedule:run\n/,
    )
  })

  await t.test('set keeps what it does not name', async (t) => {
    await agent('cron', 'set', 'nightly', '--name', 'Each night', '--no-enabled', '--no-no-overlap')
    t.match(await entry('nightly'), {
      name: 'Each night',
      enabled: false,
      schedule: '30 2 * * *',
      preset: 'backup-mysql',
      timeoutMs: 86_400_000,
    })
    const own = await agent('--json', 'cron', 'set', 'nightly', '--command', '/bin/true', '--enabled')
    t.match(JSON.parse(own.stdout), { entry: { command: '/bin/true', enabled: true } })
    t.equal((await entry('nightly'))?.preset, undefined, 'a command of its own ends the preset')
    const stale = await agent('cron', 'set', 'nightly', '--name', 'x', '--if-revision', '0'.repeat(16))
    t.match(stale, { code: 1, stderr: /not 0{16}/ })
    t.match(await agent('cron', 'set', 'none', '--name', 'x'), { code: 1, stderr: /there is no entry none/ })
    t.match(await agent('cron', 'set', '--name', 'x'), { code: 2, stderr: /missing required argument 'id'/ })
    t.match(await launch(['--socket', reader, 'cron', 'set', 'nightly', '--name', 'x']).outcome, {
      code: 4,
      stderr: /cannot be changed by you/,
    })
  })

  await t.test('an entry out of a file, and what is missing', async (t) => {
    const file = join(host.folder, 'entry.yaml')
    writeFileSync(file, 'id: filed\nname: Filed\nuser: www-data\nschedule: "@daily"\ncommand: /bin/true\n')
    const planned = await agent('cron', 'plan', '--file', file, '--schedule', '1 1 * * *')
    t.match(planned, { code: 10, stdout: /^\+# filed Filed\n\+1 1 \* \* \* /m })
    t.match(await agent('cron', 'add', '--name', 'x', '--command', '/bin/true'), {
      code: 2,
      stderr: /required option '--user <value>' not specified/,
    })
    t.match(await agent('cron', 'add', '--name', 'x', '--user', 'www-data', '--preset', 'backup-mysql'), {
      code: 1,
      stderr: /options\.folder: /,
    })
    const bounded = ['cron', 'plan', '--file', file, '--timeout-ms']
    t.match(await agent('--timeout-ms', '30000', ...bounded.slice(0, -1)), { stdout: /cronrun -s \S+ filed/ })
    t.match(await agent('--timeout-ms', '30000', ...bounded, '5000'), { stdout: /cronrun -s \S+ -t 5 filed/ })
    t.match(await agent(...bounded, '1500'), { code: 1, stderr: /timeoutMs: whole seconds/ })
    t.match(await agent('cron', 'presets', 'none'), { code: 1, stderr: /there is no preset none/ })
  })

  await t.test('a host without the agent keeps its jobs', async (t) => {
    const stateDir = join(host.folder, 'state')
    const { policy } = parseConfig('', 'test')
    const config = { stateDir, spoolDir: join(host.folder, 'spool'), policy, listen: { runDir: host.folder } }
    const options = { configFile: 'test.yaml', places: placesOf(host) }
    const file = join(host.folder, 'agent.yaml')
    const keys = { ...config, supervisor: { url: `unix://${host.folder}/none.sock` }, policy: undefined }
    writeFileSync(file, JSON.stringify(keys), { mode: 0o600 })
    const remove = ['--config', file, '--json', 'init', '--remove']
    const { code, stdout, stderr } = await launch(remove).outcome
    t.equal(code, 1, 'supervisord is down, and its files are not known')
    t.match(
      stderr,
      /^agent: the event listener of supervisord stays: .*; then once more: agent listener remove\n$/,
    )
    t.match(JSON.parse(stdout), {
      entries: { ejected: ['nightly'], left: [], warnings: [/nightly is an ordinary line/] },
      listener: { changed: false, problem: /set supervisor.configFile/ },
    })
    t.match(body(), /\n30 2 \* \* \* \/bin\/true\n/)
    t.notMatch(body(), 'supervisor-agent block')
    t.match(await launch(remove).outcome, { code: 4, stdout: /SUPERVISOR_UNREACHABLE/ }, 'nothing was done')

    const away = { ...config, listen: { runDir: '/nowhere' } }
    const none = { ejected: [], left: [], warnings: [] }
    t.strictSame(await ejectAll(away, options), none, 'there is nothing of an agent that never ran')
    const offline = await offlineCrontabs({ ...CRONTABS, stateDir, spoolDir: config.spoolDir, ...options })
    const judge = { principal: LOCAL_ADMIN, enforce: CRONTABS.policy.enforce.bind(CRONTABS.policy) }
    for (const id of ['one', 'two']) {
      const made = { id, name: id, user: id, schedule: '@daily', command: `/bin/echo ${id}`, enabled: true }
      await offline.commit(await offline.prepare({ action: 'put', entry: made }, judge), LOCAL_ADMIN)
    }
    const command = 'echo a\necho b'
    const long = { id: 'long', name: 'long', user: 'one', schedule: '@daily', command, enabled: true }
    await offline.commit(await offline.prepare({ action: 'put', entry: long }, judge), LOCAL_ADMIN)
    await host.install('two', body('two').replace("'/bin/echo two'", "'/bin/echo two' >>/tmp/log"))
    const release = claimFolder(stateDir, createLogger('silent'))
    await t.rejects(ejectAll(away, options), { message: /another agent runs/ }, 'elsewhere than was asked')
    release()
    const spoolDir = join(host.folder, 'spool-2')
    t.match(await ejectAll({ ...away, spoolDir }, options), {
      ejected: ['one', 'long'],
      left: [{ id: 'two', reason: /changed by hand/ }],
      warnings: [/one is an ordinary line/, /^cron-not/, /long is an ordinary/, /long goes on in its script/],
    })
    t.match(body('one'), /\n@daily \/bin\/echo one\n$/, 'no agent runs, and it is given back')
    const script = /\n@daily \/bin\/sh '(.*)'\n/.exec(body('one'))?.[1] ?? ''
    t.equal(
      script,
      join(host.folder, 'spool/.scripts/long.sh'),
      'where it was, whatever spoolDir says by now',
    )
    t.ok(existsSync(script))
    t.match(body('two'), / two -- '\/bin\/echo two' >>/, 'what is not ours any more stays')
  })
})
