import { appendFileSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { formatCursor } from '../../../src/core/logs/cursor.ts'
import { until } from '../../fixtures/wait.ts'
import { logsIn, numbered, openFilesIn, Reading } from './support.ts'

function cursorAt(path: string, offset: number): string {
  const { dev, ino } = statSync(path, { bigint: true })
  return formatCursor({ generation: { dev, ino, truncations: 0 }, offset })
}

await t.test('a follower begins with the last complete lines', async (t) => {
  const cases = [
    { it: 'two of three', file: 'a\nb\nc\n', lines: 2, text: 'b\nc\n' },
    { it: 'as many as there are', file: 'a\nb\nc\n', lines: 9, text: 'a\nb\nc\n' },
    { it: 'the part of a line besides', file: 'a\nb\nc', lines: 1, text: 'b\nc' },
    { it: 'no line', file: 'a\nb\nc', lines: 0, text: '' },
    { it: 'empty lines', file: 'a\n\n\n', lines: 2, text: '\n\n' },
    { it: 'an empty file', file: '', lines: 5, text: '' },
    {
      it: 'a line over a block',
      file: `a\n${'x'.repeat(70_000)}\nb\n`,
      lines: 2,
      text: `${'x'.repeat(70_000)}\nb\n`,
    },
    { it: '256 KiB of a longer line', file: 'x'.repeat(300_000), lines: 3, text: 'x'.repeat(256 * 1024) },
  ]
  for (const { it, file, lines, text } of cases)
    await t.test(it, async (t) => {
      const { path, logs } = logsIn(t)
      writeFileSync(path, file)
      const reading = new Reading(logs, path, { lines })
      await until(() => reading.text === text)
      appendFileSync(path, 'next\n')
      await until(() => reading.text.endsWith('next\n'))
      t.equal(reading.text, `${text}next\n`)
      t.same(reading.gaps, [])
    })
})

await t.test('every byte arrives as it is', async (t) => {
  const { path, logs } = logsIn(t)
  const bytes = Buffer.concat([
    Buffer.from('\ufeff\x1b[31mred\x1b[0m \0 NUL\r\n'),
    Buffer.from([0xff, 0xfe, 0xe2, 0x82, 0x41, 0xf0, 0x9f, 0x98, 0x0a, 0xed, 0xa0, 0x80, 0xc0, 0x80, 0x0a]),
    Buffer.from('grün € 😀\n'),
  ])
  const reading = new Reading(logs, path)
  for (const byte of bytes) appendFileSync(path, Buffer.from([byte]))
  await until(() => reading.text.endsWith('😀\n'))
  t.equal(reading.text, bytes.toString('utf8'))
})

await t.test('a character cut between two writes arrives whole, wherever it is cut', async (t) => {
  const { path, logs } = logsIn(t)
  writeFileSync(path, '')
  const reading = new Reading(logs, path)
  const emoji = Buffer.from('😀')
  for (const cut of [1, 2, 3]) {
    const before = reading.text
    appendFileSync(path, Buffer.concat([Buffer.from(`${cut}`), emoji.subarray(0, cut)]))
    await until(() => reading.text !== before)
    t.equal(reading.text, `${before}${cut}`)
    appendFileSync(path, emoji.subarray(cut))
    await until(() => reading.text.endsWith('😀'))
    t.equal(reading.text, `${before}${cut}😀`)
  }
})

await t.test('a character on the border of two chunks arrives whole, wherever it is cut', async (t) => {
  for (const cut of [0, 1, 2, 3, 4]) {
    const { path, logs } = logsIn(t)
    const text = `${'x'.repeat(64 * 1024 - cut)}😀 and more\n`
    writeFileSync(path, text)
    const reading = new Reading(logs, path, { cursor: cursorAt(path, 0) })
    await until(() => reading.text.length === text.length)
    t.equal(reading.text, text)
    t.ok(reading.chunks.every((chunk) => Buffer.byteLength(chunk.text) <= 64 * 1024))
    const again = new Reading(logs, path, { cursor: reading.chunks[0]?.cursor ?? '' })
    await until(() => again.text.endsWith('more\n'))
    t.equal((reading.chunks[0]?.text ?? '') + again.text, text, 'its cursor is before or after the character')
  }
})

await t.test('a cursor at any byte gives exactly the rest', async (t) => {
  const { path, logs } = logsIn(t)
  const bytes = Buffer.concat([
    Buffer.from('a\n\x1b[1m\0é€😀\n'),
    Buffer.from([0xff, 0xe2, 0x82, 0x0a]),
    Buffer.from('end\n'),
  ])
  writeFileSync(path, bytes)
  for (let offset = 0; offset <= bytes.length; offset++) {
    const rest = bytes.subarray(offset).toString('utf8')
    const reading = new Reading(logs, path, { cursor: cursorAt(path, offset) })
    await until(() => reading.text.length >= rest.length)
    t.equal(reading.text, rest)
    t.same(reading.gaps, [])
    t.equal((await logs.tail(path, { cursor: cursorAt(path, offset) })).text, rest)
    await reading.stop()
  }
})

await t.test('a file that is not there yet is waited for', async (t) => {
  const { path, logs } = logsIn(t)
  const reading = new Reading(logs, path, { lines: 0 })
  await setTimeout(150) // no event can tell that nothing came: a poll has passed
  t.equal(reading.isEnded, false)
  writeFileSync(path, 'first\n')
  await until(() => reading.text === 'first\n')
})

await t.test('a path that changes is followed to its new file, after the rest of the old', async (t) => {
  const { path, logs } = logsIn(t)
  let at: string | null = path
  writeFileSync(path, 'old\n')
  const reading = new Reading(logs, { locate: () => at })
  await until(() => reading.text === 'old\n')
  at = null
  appendFileSync(path, 'while nobody knows the path\n')
  await until(() => reading.text.endsWith('path\n'))
  appendFileSync(path, 'rest\n')
  at = `${path}-2`
  writeFileSync(at, 'new\n')
  await until(() => reading.text.endsWith('new\n'))
  t.match(reading.text, /rest\nnew\n$/)
  t.equal(logs.stats().files, 1)
})

await t.test('small writes are gathered, for 50 ms or to 4 KiB', async (t) => {
  const { path, logs } = logsIn(t)
  writeFileSync(path, '')
  const reading = new Reading(logs, path)
  await until(() => logs.stats().followers === 1)
  let written = ''
  for (const end = performance.now() + 400; performance.now() < end; await setTimeout(2)) {
    written += 'tick\n'
    appendFileSync(path, 'tick\n')
  }
  await until(() => reading.text === written)
  t.ok(reading.chunks.length <= 10, `${reading.chunks.length} chunks in 400 ms`)
})

await t.test('a hundred followers of one file share its reader', async (t) => {
  const { folder, path, logs } = logsIn(t)
  writeFileSync(path, '')
  const readings = Array.from({ length: 100 }, () => new Reading(logs, path))
  await until(() => logs.stats().followers === 100)
  const before = logs.stats()
  t.match(before, { files: 1, descriptors: 1 })
  t.equal(openFilesIn(folder).length, 1)
  const text = numbered(1, 10_000)
  appendFileSync(path, text)
  await until(() => readings.every((reading) => reading.text.length === text.length))
  t.ok(readings.every((reading) => reading.text === text))
  const { reads } = logs.stats()
  t.ok(reads - before.reads <= text.length / 32_768, `${reads - before.reads} reads for ${text.length} bytes`)

  await Promise.all(readings.slice(1).map((reading) => reading.stop()))
  t.match(logs.stats(), { files: 1, followers: 1, descriptors: 1 })
  logs.stop()
  await readings[0]?.done
  t.same(openFilesIn(folder), [])
  t.match(logs.stats(), { files: 0, followers: 0, descriptors: 0 })
  await t.rejects(logs.tail(path), { code: 'SHUTTING_DOWN' })
})

await t.test('many followers on one signal make no warning and end with it', async (t) => {
  const { path, logs } = logsIn(t)
  const warnings: Error[] = []
  const warned = (warning: Error): number => warnings.push(warning)
  process.on('warning', warned)
  t.teardown(() => process.off('warning', warned))
  writeFileSync(path, 'x\n')
  const stop = new AbortController()
  const ends = Array.from({ length: 40 }, async () => {
    for await (const chunk of logs.follow(path, { signal: stop.signal })) void chunk
  })
  await until(() => logs.stats().followers === 40)
  stop.abort()
  await Promise.all(ends)
  t.same(warnings, [])
  t.match(logs.stats(), { files: 0, descriptors: 0 })
})
