import t from 'tap'
import { Backoff } from '../../src/lib/backoff.ts'
import { isoTime } from '../../src/lib/iso-time.ts'
import { KeyedMutex } from '../../src/lib/keyed-mutex.ts'
import { sleep } from '../../src/lib/sleep.ts'
import { Teardown } from '../../src/lib/teardown.ts'

await t.test('teardown', async (t) => {
  await t.test('undoes last first, each after the one before has ended', async (t) => {
    const seen: string[] = []
    const teardown = new Teardown()
    for (const name of ['a', 'b', 'c'])
      teardown.defer(async () => {
        seen.push(`${name} begins`)
        await sleep(1)
        seen.push(`${name} ends`)
      })
    await teardown.run()
    t.strictSame(seen, ['c begins', 'c ends', 'b begins', 'b ends', 'a begins', 'a ends'])
  })

  await t.test('runs every step whatever others throw, and says what they threw', async (t) => {
    const seen: string[] = []
    const teardown = new Teardown()
    teardown.defer(() => seen.push('first'))
    teardown.defer(() => Promise.reject(new Error('one')))
    teardown.defer(() => {
      throw new Error('two')
    })
    teardown.defer(() => seen.push('last'))
    const error: unknown = await teardown.run().catch((thrown: unknown) => thrown)
    t.strictSame(seen, ['last', 'first'])
    t.match(error, { errors: [{ message: 'two' }, { message: 'one' }] })
  })

  await t.test('runs each step once', async (t) => {
    let count = 0
    const teardown = new Teardown()
    teardown.defer(() => count++)
    await Promise.all([teardown.run(), teardown.run()])
    await teardown.run()
    t.equal(count, 1)
  })
})

await t.test('keyed mutex', async (t) => {
  await t.test('runs the tasks of a key one by one in order, those of others beside them', async (t) => {
    const mutex = new KeyedMutex()
    const seen: string[] = []
    const running = new Set<string>()
    const task = (key: string, name: string) => () => {
      t.notOk(running.has(key), `${name} runs alone on ${key}`)
      running.add(key)
      seen.push(name)
      return sleep(Math.random() * 5).then(() => running.delete(key))
    }
    const tasks = ['a1', 'b1', 'a2', 'b2', 'a3'].map((name) =>
      mutex.run(name.slice(0, 1), task(name.slice(0, 1), name)),
    )
    await Promise.resolve()
    await Promise.resolve()
    t.strictSame([...running].toSorted(), ['a', 'b'])
    await Promise.all(tasks)
    t.strictSame(
      seen.filter((name) => name.startsWith('a')),
      ['a1', 'a2', 'a3'],
    )
    t.strictSame(
      seen.filter((name) => name.startsWith('b')),
      ['b1', 'b2'],
    )
  })

  await t.test('goes on after a task that fails, and gives each its own outcome', async (t) => {
    const mutex = new KeyedMutex()
    const failing = mutex.run('a', () => Promise.reject(new Error('mine')))
    const next = mutex.run('a', () => Promise.resolve('well'))
    await t.rejects(failing, { message: 'mine' })
    t.equal(await next, 'well')
    t.equal(await mutex.run('a', () => Promise.resolve(3)), 3)
  })
})

await t.test('backoff', async (t) => {
  await t.test('doubles its ceiling up to the greatest', async (t) => {
    const backoff = new Backoff({ minMs: 100, maxMs: 1000, random: () => 1 })
    t.strictSame(
      Array.from({ length: 6 }, () => backoff.nextMs()),
      [100, 200, 400, 800, 1000, 1000],
    )
    backoff.reset()
    t.equal(backoff.nextMs(), 100)
  })

  await t.test('draws from zero to the ceiling, evenly', async (t) => {
    const draws = Array.from({ length: 2000 }, () => new Backoff({ minMs: 1000, maxMs: 1000 }).nextMs())
    t.ok(draws.every((ms) => ms >= 0 && ms <= 1000))
    const mean = draws.reduce((sum, ms) => sum + ms, 0) / draws.length
    t.ok(mean > 420 && mean < 580, `mean ${mean}`)
  })

  await t.test('stays at the greatest after ten thousand attempts', async (t) => {
    const backoff = new Backoff({ minMs: 500, maxMs: 30_000, random: () => 1 })
    for (let i = 0; i < 10_000; i++) backoff.nextMs()
    t.equal(backoff.nextMs(), 30_000)
  })
})

await t.test('sleep', async (t) => {
  const reason = new Error('enough')
  const end = new AbortController()
  const sleeping = sleep(60_000, end.signal)
  end.abort(reason)
  await t.rejects(sleeping, reason, 'rejects with the reason of the signal')
  await t.rejects(sleep(60_000, AbortSignal.abort(reason)), reason, 'also when it aborted before')
  const begin = performance.now()
  await sleep(20, new AbortController().signal)
  t.ok(performance.now() - begin >= 18)
})

await t.test('isoTime() writes what toISOString() does, whatever the local zone', async (t) => {
  for (const ms of [0, -1, 1, 951_827_696_789, 1_709_164_799_999, 253_402_300_799_999, -62_167_219_200_000])
    t.equal(isoTime(ms), new Date(ms).toISOString())
  t.match(isoTime(), /^20\d\d-/)
  for (const ms of [Number.NaN, 253_402_300_800_000, -62_167_219_200_001])
    t.throws(() => isoTime(ms), RangeError)
})
