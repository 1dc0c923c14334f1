// What a call that changes something leaves behind when things go wrong around it: its answer, its key, the audit.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { dirname, join } from 'node:path'
import t from 'tap'
import { withFileLock } from '../../src/core/access/file-lock.ts'
import { LOCAL_ADMIN } from '../../src/core/access/local-principals.ts'
import { SCOPES } from '../../src/protocol/scopes.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { failure, parts, somebody } from './support.ts'

const admin = () => somebody({ scopes: new Set(SCOPES) })

interface Scope {
  teardown(task: () => unknown): void
}

/** A gate before supervisord that passes all but, while it is shut, the question whether supervisord is there. */
async function gate(t: Scope, { folder, socket }: { folder: string; socket: string }) {
  const state = { isShut: false, url: `unix://${join(folder, 'gate.sock')}` }
  const server = createServer((incoming, answer) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const body = Buffer.concat(chunks)
      if (state.isShut && body.includes('supervisor.getPID')) return void answer.writeHead(503).end()
      const { method, url: path, headers } = incoming
      const asked = request({ socketPath: socket, method, path, headers, agent: false }, (theirs) => {
        answer.writeHead(theirs.statusCode ?? 500, theirs.headers)
        theirs.pipe(answer)
      })
      asked.on('error', () => answer.destroy())
      asked.end(body)
    })
  })
  server.listen(join(folder, 'gate.sock'))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return state
}

/** Asks for a token while somebody else holds the file, for as long as the agent waits: ten seconds. */
async function askWhileHeld() {
  const { dispatcher, context, store, tokensFile, services } = await parts(t, {
    policy: { allowRemoteTokens: true },
  })
  const params = { name: 'made', role: 'viewer', idempotencyKey: 'the-file-is-held' }
  const ask = (over: object = {}, as = admin()) =>
    dispatcher.dispatch('token.create', { ...params, ...over }, context(as))
  const refused = await withFileLock(`${tokensFile}.lock`, () => failure(ask()))
  return { store, tokensFile, services, ask, refused }
}
const held = askWhileHeld() // the others run meanwhile
held.catch(() => undefined)

await t.test('a rolling restart during which supervisord goes', async (t) => {
  const host = await supervisord(t, {
    programs: {
      worker: {
        command: 'sleep 300',
        numprocs: 3,
        process_name: '%(program_name)s_%(process_num)d',
        startsecs: 3,
      },
    },
  })
  const shut = await gate(t, host)
  const { dispatcher, context, stack } = await parts(t, { url: shut.url })
  const { connection, table } = stack
  const entry = (index: number) => table.get(`worker:worker_${index}`)
  const allRun = () =>
    until(() => [0, 1, 2].every((index) => entry(index)?.state === 'RUNNING'), 'all to run')
  /** Begins, and returns when that process has been restarted and is not yet up. */
  const begin = async (index: number, idempotencyKey: string) => {
    await allRun()
    const before = entry(index)?.pid
    const params = { select: ['worker:*'], mode: 'rolling', idempotencyKey }
    const ask = () => dispatcher.dispatch('process.restart', params, context(admin()))
    const outcome = ask()
    await until(() => entry(index)?.state === 'STARTING' && entry(index)?.pid !== before, 'it to be starting')
    return { outcome, ask }
  }
  const unreachable = { ok: false, changed: false, error: { name: 'SUPERVISOR_UNREACHABLE' } }

  await t.test(
    'so that the next ones cannot be asked for: they have rows, the key its outcome',
    async (t) => {
      const { outcome, ask } = await begin(0, 'the-gate-shuts')
      shut.isShut = true
      await until(async () => {
        await connection.check()
        return !connection.isUp
      }, 'supervisord to be out of reach')
      const pids = [entry(1)?.pid, entry(2)?.pid]
      const first = await outcome
      t.match(first, {
        results: [{ process: 'worker:worker_0', ok: true, changed: true }, unreachable, unreachable],
      })
      shut.isShut = false
      await until(() => connection.isUp, 'supervisord to be back')
      t.strictSame(await ask(), { ...first, replayed: true })
      t.strictSame([entry(1)?.pid, entry(2)?.pid], pids, 'they were left as they were')
    },
  )

  await t.test('for good: what was begun there is told, the rest is left', async (t) => {
    const { outcome, ask } = await begin(1, 'supervisord-dies')
    await host.kill('SIGKILL')
    const first = await outcome
    t.match(first, { results: [{ ok: true }, unreachable, { ok: false, error: { name: 'CANCELLED' } }] })
    await host.start()
    await until(() => connection.isUp, 'the next supervisord')
    t.strictSame(await ask(), { ...first, replayed: true })
  })

  await t.test('before it begins: nothing is done, and the key is free', async (t) => {
    await allRun()
    shut.isShut = true
    await until(() => connection.check().then(() => !connection.isUp), 'supervisord to be out of reach')
    const params = { select: ['worker:worker_0'], wait: false, idempotencyKey: 'too-early' }
    const ask = () => dispatcher.dispatch('process.restart', params, context(admin()))
    t.match(await failure(ask()), { code: 'SUPERVISOR_UNREACHABLE', facts: { begun: false } })
    for (const method of ['supervisor.reread', 'supervisor.update']) {
      const call = dispatcher.dispatch(
        method,
        { idempotencyKey: `too-early-${method}` },
        context(LOCAL_ADMIN),
      )
      t.match(await failure(call), { code: 'SUPERVISOR_UNREACHABLE', facts: { begun: false } }, method)
    }
    t.notOk('begun' in (await failure(stack.groups.reread())).facts, 'which others may ask for in the middle')
    shut.isShut = false
    await until(() => connection.isUp, 'supervisord to be back')
    const second = await ask()
    t.match(second, { results: [{ ok: true, changed: true }] })
    t.notOk('replayed' in second)
  })
})

await t.test('a tokens file that somebody else holds: nothing is done, and the key is free', async (t) => {
  const { store, ask, refused } = await held
  t.match(refused, { code: 'TIMEOUT', facts: { begun: false } })
  t.strictSame(store.list(), [])
  const made = await ask()
  t.match(made['token'], /^agt_/)
  t.notOk('replayed' in made)
})

await t.test('a damaged tokens file: its place is told to who is there, and the key is free', async (t) => {
  const { tokensFile, services, ask } = await held
  const wish = { name: 'next', idempotencyKey: 'the-file-is-damaged' }
  const whole = readFileSync(tokensFile, 'utf8')
  writeFileSync(tokensFile, whole.slice(0, 60))
  const [here, afar] = [await failure(ask(wish, LOCAL_ADMIN)), await failure(ask(wish))]
  for (const error of [here, afar]) t.match(error, { code: 'INTERNAL', facts: { begun: false } })
  t.ok(here.message.startsWith(`tokens file ${tokensFile}: it ends in the middle`), here.message)
  t.equal(afar.message, 'the tokens file of the host cannot be used; the agent log has the detail')
  const both = await Promise.all([failure(ask(wish)), failure(ask(wish))])
  const told = both.map(({ message, facts }) => ({ message, facts }))
  t.strictSame(
    told,
    [{}, { replayed: true }].map((more) => ({ message: afar.message, facts: { begun: false, ...more } })),
    'nor is it to one that joins',
  )
  const { records } = await services.audit.list({ limit: 100 })
  const messages = records.flatMap(({ outcome, message }) => (outcome === 'INTERNAL' ? [message] : []))
  t.strictSame(new Set(messages), new Set([afar.message]), 'the audit is read from abroad too')
  writeFileSync(tokensFile, whole)
  t.match((await ask(wish))['token'], /^agt_/)
})

await t.test('damaged files of a program: their place is told to who is there', async (t) => {
  const host = await supervisord(t, {})
  const policy = { logDirectories: [host.logDir] }
  const { dispatcher, context, tokensFile, services } = await parts(t, { url: host.url, policy })
  const folder = join(dirname(tokensFile), 'programs')
  const [kept, note] = [join(folder, 'mine.json'), join(folder, 'pending', 'mine.json')]
  const ask = (method: string, params: Record<string, unknown>, isRemote = false) =>
    dispatcher.dispatch(method, params, context({ ...LOCAL_ADMIN, isRemote }))
  const wish = (seconds: number, verifyMs = 0) => ({
    definition: { name: 'mine', command: `/bin/sleep ${seconds}` },
    verifyMs,
    idempotencyKey: `sleep-for-${seconds}`,
  })
  const { program } = await ask('program.put', wish(600))
  const { revision } = program as { revision: string }

  const change = wish(601, 5_000)
  const halfDone = failure(ask('program.put', change))
  await until(() => {
    if (!existsSync(note)) return false
    const { begun, steps } = JSON.parse(readFileSync(note, 'utf8')) as { begun: number; steps: unknown[] }
    return begun > 0 && begun === steps.length
  }, 'the last step to be begun')
  const whole = readFileSync(kept, 'utf8')
  writeFileSync(kept, '{')
  rmSync(note)
  mkdirSync(note) // which nobody can delete as a file
  const undone = /; what was begun is undone as soon as that is possible/
  const { message: here } = await halfDone
  t.ok(here.startsWith(`mine: file of revisions of mine ${kept}: `), here)
  t.match(here, undone)
  const again = await failure(ask('program.put', change, true))
  t.match(again, { code: 'INTERNAL', facts: { replayed: true, program: 'mine' } })
  t.match(again.message, /^mine: the file of revisions of mine of the host cannot be used/)
  t.match(again.message, undone)
  t.equal((await failure(ask('program.put', change))).message, here, 'who is there gets all of it again')

  const explain = { method: 'program.restore', params: { name: 'mine', revision } }
  t.match((await ask('policy.explain', explain))['text'], kept)
  t.match(
    (await ask('policy.explain', explain, true))['text'],
    /would fail now: the file of revisions of mine/,
  )

  writeFileSync(kept, whole)
  const next = wish(602)
  const refused = await failure(ask('program.put', next))
  t.ok(refused.message.startsWith(`note of the change of mine that was not ended ${note}: `), refused.message)
  const abroad = await failure(ask('program.put', next, true))
  for (const error of [refused, abroad])
    t.match(error, { code: 'INTERNAL', facts: { begun: false, replayed: undefined } })
  t.match(abroad.message, /^the note of the change of mine that was not ended of the host cannot be used/)
  const { records } = await services.audit.list({ limit: 100 })
  t.notMatch(JSON.stringify(records), folder)
  rmSync(note, { recursive: true })
  t.notOk('replayed' in (await ask('program.put', next)), 'the key is free')
})

await t.test(
  'an answer over the frame limit says that it was done, and is the one that is kept',
  async (t) => {
    const host = await supervisord(t, {
      programs: {
        idle: {
          command: 'sleep 300',
          autostart: false,
          numprocs: 60,
          process_name: '%(program_name)s_%(process_num)02d',
        },
        'odd&name': { command: 'sleep 300', autostart: false },
      },
    })
    const frameOutBytes = 4096
    const { open, stack } = await parts(t, { url: host.url, limits: { frameOutBytes } })
    await until(() => stack.table.size === 61, 'all to be known')
    const peer = open(LOCAL_ADMIN)
    const params = { select: ['all'], idempotencyKey: 'a-large-answer' }
    const first = await peer.call('process.stop', params)
    const rows = (first.result?.['results'] ?? []) as { process: string; ok: boolean }[]
    t.strictSame(first.result?.['truncated'], { results: 61 })
    t.match(rows[0], { process: 'odd&name', ok: false }, 'what failed is not cut')
    t.strictSame(
      rows.slice(1).map(({ process }) => process),
      Array.from({ length: rows.length - 1 }, (_, index) => `idle:idle_${String(index).padStart(2, '0')}`),
    )
    t.ok(rows.length > 30)
    const second = await peer.call('process.stop', params)
    t.strictSame(second.result, { ...first.result, replayed: true })
    for (const frame of [first, second]) t.ok(JSON.stringify(frame).length <= frameOutBytes)
    const { result } = await peer.call('process.stop', { select: ['idle:idle_0*'] })
    t.notOk('truncated' in (result ?? {}), 'what fits is whole')
  },
)

await t.test('a call that changes something is in the audit, also when it does not get as far', async (t) => {
  const host = await supervisord(t, {
    programs: { slow: { command: 'sleep 300', startsecs: 40, autostart: false } },
  })
  const { open, services, sessions } = await parts(t, { url: host.url })
  const peer = open()
  peer.ask('process.start', { select: ['slow'] }, 'same')
  await until(
    async () => (await host.ctl('status', 'slow')).stdout.includes('STARTING'),
    'slow to be starting',
  )
  peer.ask('process.stop', { select: ['slow'] }, 'same')
  peer.ask('agent.info', {}, 'same')
  t.match(await peer.answer('same'), { error: { data: { name: 'INVALID_REQUEST' } } })
  await sessions.stop()
  t.match(await peer.call('process.restart', { select: ['slow'] }), {
    error: { data: { name: 'SHUTTING_DOWN' } },
  })
  t.match(await peer.call('agent.info'), { error: { data: { name: 'SHUTTING_DOWN' } } })
  const { records } = await services.audit.list({ limit: 100 })
  t.strictSame(
    records.map(({ method, outcome, subject }) => ({ method, outcome, subject })),
    [
      { method: 'process.start', outcome: 'SHUTTING_DOWN', subject: ['slow'] },
      { method: 'process.stop', outcome: 'INVALID_REQUEST', subject: ['slow'] },
      { method: 'process.restart', outcome: 'SHUTTING_DOWN', subject: ['slow'] },
    ],
  )
})
