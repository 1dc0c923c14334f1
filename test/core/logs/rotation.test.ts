import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  closeSync,
  existsSync,
  ftruncateSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { until } from '../../fixtures/wait.ts'
import { logsIn, numbered, openFilesIn, Reading } from './support.ts'

/** As supervisord does it: .N-1 becomes .N, the base becomes .1, a new base is made. */
function rotate(path: string, backups: number, content = ''): void {
  for (let n = backups - 1; n >= 1; n--)
    if (existsSync(`${path}.${n}`)) renameSync(`${path}.${n}`, `${path}.${n + 1}`)
  renameSync(path, `${path}.1`)
  writeFileSync(path, content)
}

await t.test('a follower goes through all rotations that happened since it last looked', async (t) => {
  const { path, logs } = logsIn(t)
  writeFileSync(path, 'start\n')
  const reading = new Reading(logs, path)
  await until(() => reading.text === 'start\n')
  appendFileSync(path, '0\n')
  for (let n = 1; n <= 4; n++) rotate(path, 5, `${n}\n`) // in one turn of the loop: nobody can look in between
  await until(() => reading.text.endsWith('4\n'))
  t.equal(reading.text, 'start\n0\n1\n2\n3\n4\n')
  t.same(reading.gaps, [])
  await until(() => logs.stats().descriptors === 1, 'the rotated files to be closed')
})

await t.test('a rotation is seen long before the poll', async (t) => {
  const { path, logs } = logsIn(t)
  writeFileSync(path, '')
  const reading = new Reading(logs, path)
  await until(() => logs.stats().followers === 1)
  const took: number[] = []
  for (let n = 0; n < 9; n++) {
    const began = performance.now()
    rotate(path, 3, `${n}`.repeat(5000))
    await until(() => reading.text.length === (n + 1) * 5000)
    took.push(performance.now() - began)
  }
  const median = took.toSorted((a, b) => a - b)[4] ?? 0
  t.ok(median < 60, `${median} ms`)
})

await t.test('rotations that destroy what nobody read are reported', async (t) => {
  const { path, logs } = logsIn(t)
  writeFileSync(path, 'start\n')
  const reading = new Reading(logs, path)
  await until(() => reading.text === 'start\n')
  for (let n = 1; n <= 9; n++) rotate(path, 3, `${n}\n`)
  await until(() => reading.text.endsWith('9\n'))
  t.equal(reading.text, 'start\n6\n7\n8\n9\n')
  t.same(reading.gaps, [0])
})

await t.test('rotated files of an earlier time are not replayed', async (t) => {
  const { path, logs } = logsIn(t)
  writeFileSync(`${path}.2`, 'last year\n')
  execFileSync('touch', ['-d', '2020-01-01', `${path}.2`])
  writeFileSync(path, 'a\n')
  const reading = new Reading(logs, path, { lines: 1 })
  await until(() => reading.text === 'a\n')
  renameSync(path, `${path}-20260801`)
  writeFileSync(path, 'b\n')
  await until(() => reading.text.endsWith('b\n'))
  t.equal(reading.text, 'a\nb\n')
  t.same(reading.gaps, [])
})

await t.test('after a rename the old file is followed until the new one has content', async (t) => {
  const { path, logs } = logsIn(t)
  writeFileSync(path, 'a\n')
  const reading = new Reading(logs, path)
  await until(() => reading.text === 'a\n')
  renameSync(path, `${path}.1`)
  appendFileSync(`${path}.1`, 'still the old\n')
  await until(() => reading.text.endsWith('the old\n'))
  writeFileSync(path, '')
  appendFileSync(`${path}.1`, 'and again\n')
  await until(() => reading.text.endsWith('again\n'))
  appendFileSync(`${path}.1`, 'once more\n')
  await until(() => reading.text.endsWith('more\n'))
  appendFileSync(`${path}.1`, 'last\n')
  appendFileSync(path, 'new\n')
  await until(() => reading.text.endsWith('new\n'))
  t.equal(reading.text, 'a\nstill the old\nand again\nonce more\nlast\nnew\n')
  t.same(reading.gaps, [])
})

await t.test('a character cut by a rotation arrives whole', async (t) => {
  const emoji = Buffer.from('😀')
  for (const cut of [1, 2, 3]) {
    const { path, logs } = logsIn(t)
    writeFileSync(path, 'a\n')
    const reading = new Reading(logs, path)
    await until(() => reading.text === 'a\n')
    appendFileSync(path, emoji.subarray(0, cut))
    rotate(path, 3)
    for (const byte of emoji.subarray(cut)) appendFileSync(path, Buffer.from([byte]))
    appendFileSync(path, ' b\n')
    await until(() => reading.text.endsWith('b\n'))
    t.equal(reading.text, 'a\n😀 b\n')
  }
  await t.test('and a rest that never comes is one replacement character', async (t) => {
    const { path, logs } = logsIn(t)
    writeFileSync(path, 'a\n')
    const reading = new Reading(logs, path)
    await until(() => reading.text === 'a\n')
    appendFileSync(path, emoji.subarray(0, 2))
    rotate(path, 3, 'b\n')
    await until(() => reading.text.endsWith('b\n'))
    t.equal(reading.text, 'a\n\ufffdb\n')
  })
})

await t.test('a cursor leads on through rotations, with and without the agent looking', async (t) => {
  const { path, logs } = logsIn(t)
  writeFileSync(path, 'a\nb\n')
  const { cursor } = await logs.tail(path)
  appendFileSync(path, 'c\n')
  rotate(path, 5, 'd\n')
  rotate(path, 5, 'e\n')
  t.same(await logs.tail(path, { cursor }).then(({ text, truncated }) => ({ text, truncated })), {
    text: 'c\nd\ne\n',
    truncated: false,
  })
  const reading = new Reading(logs, path, { cursor })
  await until(() => reading.text === 'c\nd\ne\n')
  t.same(reading.gaps, [])
  await reading.stop()
  rmSync(`${path}.2`)
  const lost = new Reading(logs, path, { cursor })
  await until(() => lost.text.endsWith('e\n'))
  t.equal(lost.text, 'd\ne\n', 'what is left, when the file of the cursor is gone')
  t.same(lost.gaps, [0])
})

await t.test('a slow follower reads from disk what is not held open any more', async (t) => {
  const { folder, path, logs } = logsIn(t)
  writeFileSync(path, 'start\n')
  const stop = new AbortController()
  const slow = logs.follow(path, { signal: stop.signal })
  t.equal((await slow.next()).value?.text, 'start\n')
  const fast = new Reading(logs, path, { lines: 0 })
  let written = ''
  const write = async (count: number, backups: number): Promise<void> => {
    for (const last = written.length + count * 5000; written.length < last; ) {
      const line = `${String(written.length).padStart(4999, '0')}\n`
      rotate(path, backups, line)
      written += line
      await until(() => fast.text.endsWith(line))
    }
  }
  await write(45, 50)
  t.ok(openFilesIn(folder).length < 40, 'not every file is held open')
  let read = ''
  while (read.length < written.length) read += (await slow.next()).value?.text ?? ''
  t.equal(read, written)

  await write(45, 10)
  const lost = { bytes: 0, text: '' }
  while (!lost.text.endsWith(written.slice(-5000))) {
    const chunk = (await slow.next()).value
    lost.bytes += chunk?.dropped ?? 0
    lost.text += chunk?.text ?? ''
  }
  t.ok(lost.bytes > 0)
  t.equal(lost.text, written.slice(45 * 5000 + lost.bytes), 'exactly the reported bytes are missing')
  stop.abort()
  t.same(await slow.next(), { value: undefined, done: true })
})

await t.test('a truncation in place starts anew and says so', async (t) => {
  const { path, logs } = logsIn(t)
  writeFileSync(path, 'one\ntwo\n')
  const reading = new Reading(logs, path)
  await until(() => reading.text === 'one\ntwo\n')
  truncateSync(path)
  appendFileSync(path, 'new\n')
  await until(() => reading.text.endsWith('new\n'))
  t.equal(reading.text, 'one\ntwo\nnew\n')
  t.same(reading.gaps, [0])

  await t.test('also when the file is longer again before anybody looked', async (t) => {
    writeFileSync(path, numbered(1, 10))
    await until(() => reading.text.endsWith(numbered(1, 10)))
    t.same(reading.gaps, [0, 0])
  })
  await t.test('and when it happened while nobody followed', async (t) => {
    const { cursor } = reading
    await reading.stop()
    writeFileSync(path, numbered(100, 150))
    const other = new Reading(logs, path)
    await until(() => other.text !== '')
    const resumed = new Reading(logs, path, { cursor })
    await until(() => resumed.text === numbered(100, 150))
    t.same(resumed.gaps, [0])
    await resumed.stop()
    appendFileSync(path, 'end\n')
    await until(() => other.text.endsWith('end\n'))
    t.same(other.gaps, [], 'an old cursor disturbs nobody else')
    await other.stop()
  })
  await t.test('bytes that were seen but not read are counted', async (t) => {
    writeFileSync(path, numbered(1, 2000))
    const stop = new AbortController()
    const slow = logs.follow(path, { lines: 2000, signal: stop.signal })
    const first = (await slow.next()).value?.text ?? ''
    writeFileSync(path, 'short\n')
    const rest: string[] = []
    const late = await slow.next()
    rest.push(late.value?.text ?? '')
    t.same(rest, ['short\n'])
    t.equal(late.value?.dropped, numbered(1, 2000).length - first.length)
    stop.abort()
  })
})

await t.test('the hole that copytruncate leaves is passed over', async (t) => {
  for (const size of [3000, 83_000, 1_000_000]) {
    const { path, logs } = logsIn(t)
    const fd = openSync(path, 'w') // no O_APPEND, as supervisord after its own rotation
    writeSync(fd, `${'x'.repeat(size - 1)}\n`)
    const reading = new Reading(logs, path, { lines: 1 })
    await until(() => reading.text.endsWith('x\n'))
    const before = reading.text
    truncateSync(path)
    writeSync(fd, 'after\n')
    writeSync(fd, '\0 is kept\n')
    await until(() => reading.text.endsWith('kept\n'))
    t.equal(statSync(path).size, size + 16)
    t.equal(reading.text, `${before}after\n\0 is kept\n`)
    if (size > 4096) {
      t.equal((await logs.tail(path)).text, 'after\n\0 is kept\n')
      const fresh = new Reading(logs, path)
      await until(() => fresh.text === 'after\n\0 is kept\n')
    }
    ftruncateSync(fd)
    closeSync(fd)
  }
})

await t.test('a link put in place of the file ends the follower and is never read', async (t) => {
  const { folder, path, logs } = logsIn(t)
  const secret = join(folder, 'secret')
  writeFileSync(secret, 'secret\n')
  const swaps = [
    { reason: 'symbolic-link', swap: () => symlinkSync(secret, path) },
    { reason: 'hard-link', swap: () => linkSync(secret, path) },
    { reason: 'not-regular', swap: () => execFileSync('mkfifo', [path]) },
  ]
  for (const { reason, swap } of swaps)
    await t.test(reason, async (t) => {
      rmSync(path, { force: true })
      writeFileSync(path, 'mine\n')
      const reading = new Reading(logs, path)
      await until(() => reading.text === 'mine\n')
      appendFileSync(path, 'last\n')
      rmSync(path)
      swap()
      await reading.done
      t.match(reading.failure, { code: 'LOG_UNAVAILABLE', facts: { reason } })
      t.equal(reading.text, 'mine\nlast\n')
    })
  t.equal(readFileSync(secret, 'utf8'), 'secret\n')
  t.same(openFilesIn(folder), [])
})
