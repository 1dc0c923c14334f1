import { execFileSync } from 'node:child_process'
import { appendFileSync, readdirSync, readFileSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { IdempotencyKeys, type KeyedCall } from '../../../src/core/access/idempotency.ts'
import { AgentError } from '../../../src/protocol/errors.ts'
import { noNamespace } from '../../fixtures/namespace.ts'
import { clock, folder, recorder } from './support.ts'

const DAY = 24 * 3_600_000
const call = (fields: Partial<KeyedCall> = {}): KeyedCall => ({
  owner: 'o',
  key: 'key-0001',
  method: 'process.start',
  params: { select: ['a'] },
  secrets: [],
  mayRunUnrecorded: false,
  signal: new AbortController().signal,
  observe: () => Promise.resolve({ seen: 'now' }),
  ...fields,
})
const never = () => false

/** Runs of a task that counts them. */
async function made(t: Parameters<typeof folder>[0], time = clock(Date.now())) {
  const path = join(await folder(t), 'results')
  const { logger, lines } = recorder()
  const state = { runs: 0 }
  let keys = await opened(path)
  t.teardown(() => keys.stop())
  async function opened(from: string): Promise<IdempotencyKeys> {
    const next = new IdempotencyKeys({ folder: from, logger, now: time.now })
    await next.start()
    return next
  }
  return {
    path,
    time,
    state,
    lines,
    keys: () => keys,
    run: (fields: Partial<KeyedCall> = {}) =>
      keys.run(call(fields), () => Promise.resolve({ run: ++state.runs }), never),
    /** As after the end of the process; a killed one has closed nothing. */
    restart: async (how: 'stopped' | 'killed' = 'stopped') => {
      if (how === 'stopped') keys.stop()
      keys = await opened(path)
    },
  }
}

function newestFile(path: string): string {
  return join(path, readdirSync(path).toSorted().at(-1) ?? '')
}

await t.test('a second call with the key gets the first outcome, marked', async (t) => {
  const { run, state } = await made(t)
  t.strictSame(await run(), { run: 1 })
  t.strictSame(await run(), { run: 1, replayed: true })
  t.strictSame(await run({ key: 'key-0002' }), { run: 2 })
  t.strictSame(await run({ owner: 'p' }), { run: 3 }, 'keys belong to their owner')
  t.equal(state.runs, 3)
})

const bodies = [
  {
    it: 'fields in another order',
    a: { x: 1, y: { p: 1, q: 2 } },
    b: { y: { q: 2, p: 1 }, x: 1 },
    same: true,
  },
  { it: 'entries in another order', a: { x: [1, 2] }, b: { x: [2, 1] }, same: false },
  { it: 'a number as text', a: { x: 1 }, b: { x: '1' }, same: false },
  { it: 'one field more', a: { x: 1 }, b: { x: 1, y: null }, same: false },
  { it: 'a field that is undefined', a: { x: 1 }, b: { x: 1, y: undefined }, same: true },
]
for (const { it, a, b, same } of bodies)
  await t.test(`${it} ${same ? 'is the same call' : 'is another call'}`, async (t) => {
    const { run } = await made(t)
    await run({ params: a })
    if (same) t.match(await run({ params: b }), { replayed: true })
    else await t.rejects(run({ params: b }), { code: 'IDEMPOTENCY_CONFLICT' })
  })

await t.test('another method with the key conflicts, also while the first runs', async (t) => {
  const keys = (await made(t)).keys()
  let finish = () => {}
  const gate = new Promise<void>((resolve) => (finish = resolve))
  const first = keys.run(call(), () => gate.then(() => ({})), never)
  const task = () => Promise.resolve({ ran: true })
  await t.rejects(keys.run(call({ method: 'process.stop' }), task, never), { code: 'IDEMPOTENCY_CONFLICT' })
  finish()
  t.strictSame(await first, {})
})

await t.test('calls at the same time share one run', async (t) => {
  const keys = (await made(t)).keys()
  let runs = 0
  const task = async () => {
    await new Promise(setImmediate)
    return { run: ++runs, secret: 's' }
  }
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => keys.run(call({ secrets: ['secret'] }), task, never)),
  )
  t.equal(runs, 1)
  t.strictSame(answers[0], { run: 1, secret: 's' })
  for (const answer of answers.slice(1)) t.strictSame(answer, { run: 1, secret: null, replayed: true })
})

await t.test('an error is an outcome too, with its facts', async (t) => {
  const keys = (await made(t)).keys()
  let runs = 0
  const task = () => {
    runs++
    return Promise.reject(new AgentError('SUPERVISOR_FAULT', 'no', { facts: { fault: 'SPAWN_ERROR' } }))
  }
  await t.rejects(keys.run(call(), task, never), {
    code: 'SUPERVISOR_FAULT',
    facts: { fault: 'SPAWN_ERROR' },
  })
  await t.rejects(keys.run(call(), task, never), {
    code: 'SUPERVISOR_FAULT',
    message: 'no',
    facts: { fault: 'SPAWN_ERROR', replayed: true },
  })
  t.equal(runs, 1)
})

await t.test('a defect is replayed as INTERNAL, marked, without its text', async (t) => {
  const keys = (await made(t)).keys()
  const task = () => Promise.reject(new Error('/secret/path'))
  await t.rejects(keys.run(call(), task, never), { message: '/secret/path' })
  const again = await keys.run(call(), task, never).catch((error: unknown) => error)
  t.match(again, { code: 'INTERNAL', facts: { replayed: true } })
  t.notMatch((again as Error).message, 'secret')
})

await t.test('a refusal before the effect leaves the key free', async (t) => {
  const { keys: current, run } = await made(t)
  const keys = current()
  const refusal = new AgentError('FORBIDDEN', 'no')
  await t.rejects(
    keys.run(
      call(),
      () => Promise.reject(refusal),
      (error) => error === refusal,
    ),
    refusal,
  )
  t.strictSame(await run({ params: { another: 'body' } }), { run: 1 })
})

await t.test('keys are kept for seven days', async (t) => {
  const { keys: current, time, run } = await made(t)
  const keys = current()
  await run()
  time.add(7 * DAY - 1000)
  await run({ key: 'key-0002' })
  keys.sweep()
  t.match(await run(), { replayed: true })
  time.add(2000)
  keys.sweep()
  t.strictSame(await run(), { run: 3 }, 'the first is forgotten')
  t.match(await run({ key: 'key-0002' }), { replayed: true }, 'the younger is not')
})

await t.test('10 000 keys are held; none of the last day gives way', async (t) => {
  const { time, run } = await made(t)
  for (let i = 0; i < 10_000; i++) await run({ key: `key-${i}` })
  await t.rejects(run({ key: 'one-more' }), { code: 'TOO_MANY_REQUESTS' })
  t.match(await run({ key: 'key-0' }), { replayed: true }, 'replays need no room')
  t.match(await run({ owner: 'p', key: 'one-more' }), { run: 10_001 }, 'others have room of their own')
  time.add(DAY + 1)
  t.match(await run({ key: 'one-more' }), { run: 10_002 })
  t.match(await run({ key: 'key-1' }), { replayed: true })
  await t.rejects(run({ key: 'key-1', params: {} }), { code: 'IDEMPOTENCY_CONFLICT' })
})

await t.test('64 MiB of outcomes are held; none of the last day gives way', async (t) => {
  const { keys: current, time } = await made(t)
  const keys = current()
  let runs = 0
  const run = (key: string, { owner = 'o', bytes = 1 << 22 } = {}) =>
    keys.run(call({ key, owner }), () => Promise.resolve({ run: ++runs, text: 'x'.repeat(bytes) }), never)
  for (let i = 0; i < 16; i++) await run(`key-${i}`)
  await t.rejects(run('one-more'), { code: 'TOO_MANY_REQUESTS' })
  t.equal(runs, 16, 'without an effect')
  t.match(await run('key-0'), { run: 1, replayed: true }, 'replays need no room')
  t.match(await run('one-more', { owner: 'p', bytes: 1 }), { run: 17 }, 'others have room of their own')
  time.add(DAY + 1)
  t.match(await run('one-more'), { run: 18 }, 'what is older than a day gives way')
  t.match(await run('key-1'), { run: 2, replayed: true }, 'as far as needed')
  t.match(await run('key-0'), { run: 19 })
  time.add(7 * DAY)
  keys.sweep()
  for (let i = 0; i < 16; i++) await run(`later-${i}`)
  await t.rejects(run('one-more'), { code: 'TOO_MANY_REQUESTS' }, 'what was dropped is counted no more')
})

await t.test('an outcome is kept as it was, whatever becomes of the objects', async (t) => {
  const keys = (await made(t)).keys()
  const result = { list: [{ name: 'a' }] }
  await keys.run(call(), () => Promise.resolve(result), never)
  result.list.push({ name: 'b' })
  t.strictSame(await keys.run(call(), () => Promise.resolve({}), never), {
    list: [{ name: 'a' }],
    replayed: true,
  })
})

await t.test('the outcome survives the end of the agent, the secret does not', async (t) => {
  const { keys, restart, run, path, state } = await made(t)
  await keys().run(call(), () => Promise.resolve({ run: ++state.runs, token: 'agt_secret' }), never)
  const failed = call({ key: 'key-0002', secrets: ['token'] })
  const error = new AgentError('STOP_FAILED', 'it did not', { facts: { process: 'a' } })
  await t.rejects(
    keys().run(failed, () => Promise.reject(error), never),
    error,
  )
  const secret = call({ key: 'key-0003', secrets: ['token'] })
  await keys().run(secret, () => Promise.resolve({ token: 'agt_other', name: 'n' }), never)
  for (const how of ['stopped', 'killed'] as const) {
    await restart(how)
    t.match(await run(), { run: 1, replayed: true })
    t.strictSame(await keys().run(secret, never as never, never), { token: null, name: 'n', replayed: true })
    await t.rejects(keys().run(failed, never as never, never), {
      code: 'STOP_FAILED',
      message: 'it did not',
      facts: { process: 'a', replayed: true },
    })
    await t.rejects(run({ params: {} }), { code: 'IDEMPOTENCY_CONFLICT' })
  }
  t.notMatch(readFileSync(newestFile(path), 'utf8'), 'agt_other')
  t.equal(state.runs, 1)
  t.equal(statSync(newestFile(path)).mode & 0o777, 0o600)
})

await t.test('a call is on the disk before its effect', async (t) => {
  const { keys, path } = await made(t)
  let onDisk = ''
  await keys().run(
    call(),
    async () => {
      onDisk = readFileSync(newestFile(path), 'utf8')
      return {}
    },
    never,
  )
  t.match(onDisk, '"key":"key-0001"')
  t.notMatch(onDisk, 'outcome')
})

await t.test('what the end of the agent cut short is not known, and does not run again', async (t) => {
  const { keys, restart, run, state } = await made(t)
  void keys().run(call(), () => new Promise(() => undefined), never)
  const stopping = new AgentError('SHUTTING_DOWN', 'the agent is stopping')
  const second = call({ key: 'key-0002' })
  await t.rejects(
    keys().run(second, () => Promise.reject(stopping), never),
    stopping,
  )
  await run({ key: 'key-0003' })
  await restart('killed')
  for (const key of ['key-0001', 'key-0002'])
    await t.rejects(run({ key }), { code: 'OUTCOME_UNKNOWN', facts: { seen: 'now' } })
  await t.rejects(run({ params: {} }), { code: 'IDEMPOTENCY_CONFLICT' })
  t.match(await run({ key: 'key-0003' }), { replayed: true })
  t.equal(state.runs, 1)
})

await t.test('a refusal leaves the key free after a restart too', async (t) => {
  const { keys, restart, run } = await made(t)
  const refusal = new AgentError('FORBIDDEN', 'no')
  await t.rejects(
    keys().run(
      call(),
      () => Promise.reject(refusal),
      () => true,
    ),
    refusal,
  )
  await restart('killed')
  t.strictSame(await run({ params: { another: 'body' } }), { run: 1 })
  await restart('killed')
  t.match(await run({ params: { another: 'body' } }), { replayed: true })
})

await t.test('a torn or damaged record costs no other, and is told', async (t) => {
  const { restart, run, path, lines } = await made(t)
  await run()
  await run({ key: 'key-0002' })
  const file = newestFile(path)
  truncateSync(file, statSync(file).size - 3)
  await restart('killed')
  t.match(await run(), { replayed: true })
  await t.rejects(run({ key: 'key-0002' }), { code: 'OUTCOME_UNKNOWN' })
  appendFileSync(file, '{"n":"no number"}\n')
  await restart('killed')
  t.match(await run(), { replayed: true })
  t.match(await run({ key: 'key-0004' }), { run: 3 })
  t.equal(lines.filter((line) => line.includes('were damaged')).length, 2)
})

await t.test('old files go with the keys in them; those of the last day never', async (t) => {
  const { keys, run, path, time, restart } = await made(t)
  const big = 'x'.repeat(300_000)
  for (let i = 0; i < 20; i++) await run({ key: `key-000${i}`, owner: `o${i}`, params: { big } })
  for (let i = 0; i < 250; i++)
    await keys().run(call({ key: `big-000${i}`, owner: `o${i}` }), () => Promise.resolve({ big }), never)
  const bytes = () => readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0)
  t.ok(bytes() > 70e6, `${bytes()} bytes`)
  keys().sweep()
  t.ok(bytes() > 70e6, 'nothing goes on the first day')
  time.add(DAY + 1000)
  keys().sweep()
  t.ok(bytes() < 68e6, `${bytes()} bytes`)
  t.match(await run({ key: 'big-000249', owner: 'o249' }), { replayed: true })
  t.equal((await run({ key: 'big-0000', owner: 'o0' }))['replayed'], undefined, 'it is forgotten')
  await restart()
  t.match(await run({ key: 'big-000249', owner: 'o249' }), { replayed: true })
})

await t.test('where the disk takes no record', { skip: noNamespace() }, (t) => {
  const script = join(import.meta.dirname, 'idempotency-full-disk.ts')
  const shell = 'mount -t tmpfs -o size=64k tmpfs "$1" && exec "$2" --import tsx "$3" "$1"'
  const said = execFileSync(
    'unshare',
    ['-rm', 'sh', '-c', shell, 'sh', t.testdir(), process.execPath, script],
    { env: { ...process.env, NODE_OPTIONS: '' } },
  )
  t.strictSame(JSON.parse(said.toString()), {
    refused: { code: 'INTERNAL', rule: 'idempotency', reason: 'ENOSPC' },
    ranRefused: false,
    adminRan: true,
    adminReplayed: true,
    cutEndReplayed: true,
    freeAgain: true,
    keptOverRestart: true,
  })
  t.end()
})
