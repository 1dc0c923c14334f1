// The built agent beside a real cron, with no more rights than its unit gives it: what comes of jobs is known, whatever
// becomes of the agent meanwhile and whatever a user leaves in the spool.
import {
  appendFileSync,
  chmodSync,
  chownSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type AgentEventOf, connect } from '../../src/client/index.ts'
import type { EntryDefinition } from '../../src/protocol/entry.ts'
import { AgentProcess } from '../fixtures/agent-process.ts'
import { CRON_USERS, CronHost, noCron } from '../fixtures/crontab.ts'
import { Supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'

const [ALICE] = CRON_USERS
/** What the unit leaves to root; SETUID and SETGID stand for the service manager, which starts tasks there. */
const CAPABILITIES = '-all,+chown,+dac_read_search,+setuid,+setgid'
const JOBS = 50
/** What a job can see of how it was started. Not all of its variables: those of tap reach every process below it. */
const PROBE = `env | grep -E '^(HOME|LANG|LC_[A-Z]+|LOGNAME|MAIL|PATH|PWD|SHELL|USER)=' | sort
id -un; id -Gn; umask; pwd; ps -o sid= -p $$ | grep -q . && echo own`
const YEARLY = '0 0 1 1 *'

type Finished = AgentEventOf<'crontab.finished'>['payload']

/** An agent within the namespaces of a cron; there is no supervisord. */
async function place(t: Test) {
  const cron = await CronHost.start(t)
  appendFileSync(join(cron.etc, 'group'), `web:*:1600:${ALICE.name}\n`)
  await cron.startCron()
  const host = new Supervisord({})
  t.teardown(() => rmSync(host.folder, { recursive: true, force: true, maxRetries: 5 }))
  chmodSync(host.folder, 0o755)
  const agent = new AgentProcess(host, 'policy: { users: [alice, bob] }\n')
  const under = [...cron.under(), 'setpriv', '--no-new-privs', `--bounding-set=${CAPABILITIES}`]
  const start = () => agent.start({ under })
  // nsenter only waits for it
  const pid = () => Number(readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8'))
  const kill = async () => {
    process.kill(pid(), 'SIGKILL')
    await agent.daemon.outcome
  }
  t.teardown(async () => {
    if (agent.isRunning) await kill()
  })
  await start()
  return { cron, agent, spool: join(host.folder, 'spool'), start, kill }
}

await t.test('results of cron jobs', { skip: noCron() }, async (t) => {
  const { cron, agent, spool, start, kill } = await place(t)
  const folder = join(spool, 'alice')
  const shim = join(spool, '.bin/cronrun')
  const client = await connect({
    url: `unix://${agent.runDir}/admin.sock`,
    reconnect: { minMs: 20, maxMs: 200 },
  })
  t.teardown(() => client.close())
  const finished: Finished[] = []
  const begun: string[] = []
  const missed: unknown[] = []
  void (async () => {
    for await (const item of client.events({ types: ['crontab.*'] })) {
      if (item.kind !== 'event') continue
      if (item.type === 'crontab.finished') finished.push(item.payload)
      else if (item.type === 'crontab.started') begun.push(item.payload.run)
      else if (item.type === 'crontab.missed') missed.push(item.payload)
    }
  })().catch(() => undefined)
  const put = async (entry: Partial<EntryDefinition> & { id: string }) =>
    await client.call(
      'crontab.put',
      { entry: { name: entry.id, user: 'alice', schedule: YEARLY, command: 'true', ...entry } },
      { mutates: true },
    )
  const runs = async (id: string) =>
    (await client.call('crontab.runs', { id, limit: 200, output: true })).runs
  const over = (id: string) => finished.filter((run) => run.id === id)

  await put({ id: 'minutely', schedule: '* * * * *', command: PROBE })
  const go = join(cron.home('alice'), 'go')
  await put({
    id: 'long',
    command: `echo begun; while [ ! -e ${go} ]; do sleep 0.1; done; echo done; exit 7`,
  })

  await t.test('the spool of a user is theirs, and closed to all others', async (t) => {
    t.match(statSync(folder), { uid: ALICE.uid, gid: 0, mode: 0o40770 })
    const { code } = await cron.run(['ls', folder], { user: 'bob' })
    t.not(code, 0)
  })

  const { run: first } = await client.call('crontab.run', { id: 'long' }, { mutates: true })
  t.match(first, { id: 'long', verdict: 'running', byHand: true })

  await t.test('fifty jobs in one second, the agent killed in between', async (t) => {
    const script = `i=0; while [ $i -lt ${JOBS} ]; do
      "$0" -s "$1" minutely -- "sleep 0.$((i % 5)); echo $i; exit $((1 + i))" & i=$((i + 1)); done; wait`
    const jobs = cron.run(['sh', '-c', script, shim, spool], { user: 'alice' })
    const isOne = ({ exitStatus = 0 }) => exitStatus > 0
    const mine = () => over('minutely').filter(isOne)
    for (const most of [1, 20]) {
      await until(() => mine().length >= most, `${most} results`)
      await kill()
      await start()
    }
    t.equal((await jobs).code, 0)
    const kept = async () => (await runs('minutely')).filter(isOne)
    await until(async () => (await kept()).length >= JOBS, 'all to be kept')
    const list = await kept()
    t.strictSame(
      list.map(({ exitStatus = 0 }) => exitStatus - 1).toSorted((a, b) => a - b),
      Array.from({ length: JOBS }, (_, i) => i),
      'none lost, none twice',
    )
    for (const { exitStatus = 0, output } of list) t.equal(output, `${exitStatus - 1}\n`)
    await until(() => mine().length >= JOBS - 2, 'their events')
    t.equal(new Set(mine().map(({ run }) => run)).size, mine().length, 'none is told twice')
    await until(
      () => !readdirSync(folder).some((name) => name.startsWith('minutely.')),
      'the spool to be empty',
    )
  })

  await t.test('a run by hand outlives the agent', async (t) => {
    t.match(await runs('long'), [{ run: first.run, verdict: 'running' }], 'after two kills')
    writeFileSync(go, '')
    const end = await until(() => over('long')[0], 'its end')
    t.match(end, { run: first.run, exitStatus: 7, verdict: 'failed', byHand: true })
    t.match(await runs('long'), [{ run: first.run, output: 'begun\ndone\n' }])
    t.equal(begun.filter((run) => run === first.run).length, 1)
  })

  await t.test('hostile files are refused and told of, and the good ones read', async (t) => {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8)
    let n = 1000
    const name = (id = 'minutely') => `${id}.${boot}.${n}.999999`
    const record = (id?: string) => `cronrun 1 ${name(id)} 1 -\nlie\nended 11.00 0 0\n`
    const lie = `printf '%s' "$2" >made`
    // each is there whole from its first moment
    const attacks = [
      ['symbolic-link', 'ln -s /etc/passwd "$1"'],
      ['not-regular', 'mkfifo "$1"'],
      ['not-regular', 'mkdir "$1"'],
      ['too-large', 'truncate -s 100M made && mv made "$1"'],
      ['hard-link', `${lie} && ln made "$1"`],
      ['malformed', ': >"$1"'],
      ['foreign-entry', `${lie} && mv made "$1"`, 'of-bob'],
    ] as const
    const log = () => agent.daemon.stderr()
    const isTold = (why: string, id?: string) => log().includes(`{"name":"${name(id)}","why":"${why}"}`)
    const isGone = (id?: string) => !readdirSync(folder).includes(name(id))
    for (const [why, script, id] of attacks) {
      n++
      const argv = ['sh', '-c', `cd "$0" && ${script}`, folder, name(id), record(id)]
      const { code, stderr } = await cron.run(argv, { user: 'alice' })
      t.equal(code, 0, stderr)
      await until(() => isTold(why, id) && isGone(id), why)
    }
    n++
    writeFileSync(join(folder, 'made'), record())
    chownSync(join(folder, 'made'), 1502, 1502)
    renameSync(join(folder, 'made'), join(folder, name()))
    await until(() => isTold('foreign-owner') && isGone(), 'foreign-owner')
    const good = await cron.run([shim, '-s', spool, 'minutely', '--', 'echo good; exit 99'], {
      user: 'alice',
    })
    t.equal(good.code, 99)
    await until(() => over('minutely').some(({ exitStatus }) => exitStatus === 99), 'the good one')
    t.notMatch(log(), 'daemon:*:1:1', 'nothing of what a link led to')
    t.notOk(finished.some(({ run }) => run.endsWith('.999999')))
    t.match(readFileSync(join(cron.etc, 'passwd'), 'utf8'), 'alice', 'names go, not what they stand for')
  })

  await t.test('a run is ended, also one that hears no TERM', async (t) => {
    rmSync(go)
    await put({ id: 'deaf', command: `trap '' TERM; echo begun; while :; do sleep 0.1; done` })
    const { run: deaf } = await client.call('crontab.run', { id: 'deaf' }, { mutates: true })
    const killing = client.call('crontab.kill', { run: deaf.run }, { mutates: true })
    const { stdout } = await agent.run('--json', 'cron', 'run', 'long')
    const { run: told } = JSON.parse(stdout) as { run: { run: string } }
    t.match(told, { id: 'long', byHand: true })
    const listed = await agent.run('cron', 'runs', 'long')
    t.match(listed.stdout, new RegExp(`^RUN +STARTED +TOOK +VERDICT +BY\n${told.run} .* running +hand\n`))
    const ended = await agent.run('cron', 'kill', told.run)
    t.match(ended, { code: 0, stdout: /failed \(SIGTERM\)\n$/ })
    t.match((await agent.run('cron', 'runs', '--output', 'long')).stdout, /\n {2}begun\n {2}done\n/)
    const nothing = await agent.run('cron', 'kill', 'no.such.run')
    t.match(nothing, { code: 1, stderr: /there is no run no\.such\.run: agent cron runs shows all/ })
    t.match(await killing, { run: { run: deaf.run, verdict: 'failed', signal: 'SIGKILL' } })
  })

  await t.test('cron fires an entry in its minute', async (t) => {
    const afterMs = Date.now()
    await kill()
    await start()
    const fired = await until(
      () =>
        over('minutely').find(
          ({ byHand, exitStatus, startedAt }) =>
            exitStatus === 0 && !byHand && Date.parse(startedAt) > afterMs,
        ),
      'a run by cron',
      100_000,
    )
    t.match(fired, { verdict: 'success', user: 'alice' })
    t.ok(Date.parse(fired.startedAt) % 60_000 < 30_000, 'in its minute')
    const { run } = await client.call('crontab.run', { id: 'minutely' }, { mutates: true })
    await until(() => over('minutely').some((one) => one.run === run.run), 'the run by hand')
    const outputs = new Map((await runs('minutely')).map((one) => [one.run, one.output]))
    t.match(outputs.get(fired.run), /\nalice web\n/)
    t.equal(outputs.get(run.run), outputs.get(fired.run), 'by hand it is as by cron')
    const { entries } = await client.call('crontab.list', { user: 'alice' })
    t.match(entries.find(({ id }) => id === 'minutely')?.lastRun, { run: run.run, verdict: 'success' })
    t.strictSame(missed, [])
  })
})
