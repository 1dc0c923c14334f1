import t from 'tap'
import { IdempotencyKeys, type KeyedCall } from '../../../src/core/access/idempotency.ts'
import { AgentError } from '../../../src/protocol/errors.ts'
import { clock } from './support.ts'

const DAY = 24 * 3_600_000
const call = (fields: Partial<KeyedCall> = {}): KeyedCall => ({
  owner: 'o',
  key: 'key-0001',
  method: 'process.start',
  params: { select: ['a'] },
  secrets: [],
  ...fields,
})
const never = () => false

/** Runs of a task that counts them. */
function made() {
  const time = clock()
  const keys = new IdempotencyKeys({ now: time.now })
  const state = { runs: 0 }
  const run = (fields: Partial<KeyedCall> = {}) =>
    keys.run(call(fields), () => Promise.resolve({ run: ++state.runs }), never)
  return { keys, time, state, run }
}

await t.test('a second call with the key gets the first outcome, marked', async (t) => {
  const { run, state } = made()
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
    const { run } = made()
    await run({ params: a })
    if (same) t.match(await run({ params: b }), { replayed: true })
    else await t.rejects(run({ params: b }), { code: 'IDEMPOTENCY_CONFLICT' })
  })

await t.test('another method with the key conflicts, also while the first runs', async (t) => {
  const { keys } = made()
  let finish = () => {}
  const first = keys.run(call(), () => new Promise((resolve) => (finish = () => resolve({}))), never)
  const task = () => Promise.resolve({ ran: true })
  await t.rejects(keys.run(call({ method: 'process.stop' }), task, never), { code: 'IDEMPOTENCY_CONFLICT' })
  finish()
  t.strictSame(await first, {})
})

await t.test('calls at the same time share one run', async (t) => {
  const { keys } = made()
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
  const { keys } = made()
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
  const { keys } = made()
  const task = () => Promise.reject(new Error('/secret/path'))
  await t.rejects(keys.run(call(), task, never), { message: '/secret/path' })
  const again = await keys.run(call(), task, never).catch((error: unknown) => error)
  t.match(again, { code: 'INTERNAL', facts: { replayed: true } })
  t.notMatch((again as Error).message, 'secret')
})

await t.test('a refusal before the effect leaves the key free', async (t) => {
  const { keys, run } = made()
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
  const { keys, time, run } = made()
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
  const { time, run } = made()
  for (let i = 0; i < 10_000; i++) await run({ key: `key-${i}` })
  await t.rejects(run({ key: 'one-more' }), { code: 'TOO_MANY_REQUESTS' })
  t.match(await run({ key: 'key-0' }), { replayed: true }, 'replays need no room')
  t.match(await run({ owner: 'p', key: 'one-more' }), { run: 10_001 }, 'others have room of their own')
  time.add(DAY + 1)
  t.match(await run({ key: 'one-more' }), { run: 10_002 })
  t.match(await run({ key: 'key-1' }), { replayed: true })
  await t.rejects(run({ key: 'key-1', params: {} }), { code: 'IDEMPOTENCY_CONFLICT' })
})

await t.test('16 MiB of outcomes are held; none of the last day gives way', async (t) => {
  const { keys, time } = made()
  let runs = 0
  const run = (key: string, owner = 'o') =>
    keys.run(call({ key, owner }), () => Promise.resolve({ run: ++runs, text: 'x'.repeat(1 << 20) }), never)
  for (let i = 0; i < 16; i++) await run(`key-${i}`)
  await t.rejects(run('one-more'), { code: 'TOO_MANY_REQUESTS' })
  t.equal(runs, 16, 'without an effect')
  t.match(await run('key-0'), { run: 1, replayed: true }, 'replays need no room')
  t.match(await run('one-more', 'p'), { run: 17 }, 'others have room of their own')
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
  const { keys } = made()
  const result = { list: [{ name: 'a' }] }
  await keys.run(call(), () => Promise.resolve(result), never)
  result.list.push({ name: 'b' })
  t.strictSame(await keys.run(call(), () => Promise.resolve({}), never), {
    list: [{ name: 'a' }],
    replayed: true,
  })
})
