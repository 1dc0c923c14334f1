import { appendFileSync, renameSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { logsIn, numbered, openFilesIn } from './support.ts'

const KIB = 1024

await t.test('the last lines or bytes of a log', async (t) => {
  const long = 'y'.repeat(300 * KIB)
  const cases = [
    { it: 'lines', file: 'a\nb\nc\n', lines: 2, text: 'b\nc\n', truncated: true },
    { it: 'all lines', file: 'a\nb\nc\n', lines: 3, text: 'a\nb\nc\n', truncated: false },
    { it: 'a part of a line counts', file: 'a\nb\nc', lines: 2, text: 'b\nc', truncated: true },
    {
      it: 'a hundred lines unless said otherwise',
      file: numbered(1, 150),
      text: numbered(51, 150),
      truncated: true,
    },
    {
      it: 'lines over many blocks',
      file: numbered(1, 5000),
      lines: 2500,
      text: numbered(2501, 5000),
      truncated: true,
    },
    { it: 'bytes', file: 'a\nbc\n', bytes: 3, text: 'bc\n', truncated: true },
    { it: 'more bytes than there are', file: 'a\n', bytes: 9, text: 'a\n', truncated: false },
    { it: 'bytes that begin in a character', file: 'a😀b', bytes: 3, text: 'b', truncated: true },
    { it: 'a line cut at 256 KiB', file: long, lines: 1, text: long.slice(0, 256 * KIB), truncated: true },
    { it: 'at most 256 KiB', file: long, bytes: 10_000_000, text: long.slice(0, 256 * KIB), truncated: true },
    { it: 'nothing', file: '', text: '', truncated: false },
    { it: 'no lines', file: 'a\nb', lines: 0, text: '', truncated: true },
    { it: 'invalid bytes', file: Buffer.from([0x61, 0xff, 0x0a]), text: 'a\ufffd\n', truncated: false },
  ]
  for (const { it, file, text, truncated, ...options } of cases)
    await t.test(it, async (t) => {
      const { folder, path, logs } = logsIn(t)
      writeFileSync(path, file)
      const tail = await logs.tail(path, options)
      t.equal(tail.text, text)
      t.equal(tail.truncated, truncated)
      appendFileSync(path, 'later\n')
      const later = await logs.tail(path, { cursor: tail.cursor })
      t.match(later, { text: 'later\n', truncated: false })
      t.same(await logs.tail(path, { cursor: later.cursor }), {
        text: '',
        cursor: later.cursor,
        truncated: false,
      })
      t.same(openFilesIn(folder), [])
    })
})

await t.test('too few lines after a rotation are joined by those of the rotated file', async (t) => {
  const { path, logs } = logsIn(t)
  writeFileSync(`${path}.1`, 'long ago\n')
  renameSync(`${path}.1`, `${path}.2`)
  writeFileSync(`${path}.1`, 'a\nb\n')
  writeFileSync(path, 'c\n')
  t.match(await logs.tail(path, { lines: 2 }), { text: 'b\nc\n', truncated: true })
  t.match(await logs.tail(path, { lines: 1 }), { text: 'c\n', truncated: true })
  t.match(await logs.tail(path), { text: 'a\nb\nc\n', truncated: true })
  writeFileSync(path, '')
  t.match(await logs.tail(path, { lines: 1 }), { text: 'b\n' })
})

await t.test('after a cursor comes the rest, in pieces of at most 256 KiB', async (t) => {
  const { path, logs } = logsIn(t)
  writeFileSync(path, 'begin\n')
  let { cursor } = await logs.tail(path)
  const text = numbered(1, 9000)
  appendFileSync(path, text)
  let read = ''
  for (let more = true; more; ) {
    const piece = await logs.tail(path, { cursor })
    t.ok(Buffer.byteLength(piece.text) <= 256 * KIB)
    read += piece.text
    cursor = piece.cursor
    more = piece.truncated
  }
  t.ok(read === text)
  await t.rejects(logs.tail(path, { cursor: 'wrong' }), { code: 'INVALID_PARAMS' })
})

const controls = [
  { it: 'NUL', unit: '\0' },
  { it: 'ESC', unit: '\u001b[0m\u001b\u001b' },
  { it: 'ESC between characters of four bytes', unit: '\u001b\u001b\u001b\u001b\u001b😀' },
]
for (const { it, unit } of controls)
  await t.test(`a log full of ${it} fits into a frame`, async (t) => {
    const { path, logs } = logsIn(t)
    const size = (text: string) => Buffer.byteLength(JSON.stringify(text))
    const file = unit.repeat(Math.ceil((300 * KIB) / Buffer.byteLength(unit)))
    writeFileSync(path, 'begin\n')
    const { cursor } = await logs.tail(path)
    appendFileSync(path, file)
    for (const options of [{ bytes: 256 * KIB }, { lines: 10 }]) {
      const tail = await logs.tail(path, options)
      t.ok(size(tail.text) <= 900 * KIB + 2, `${size(tail.text)} bytes`)
      t.ok(size(tail.text) > 890 * KIB || Buffer.byteLength(tail.text) > 255 * KIB)
      t.ok(file.endsWith(tail.text), 'whole characters of the end')
      t.equal(tail.truncated, true)
      t.match(await logs.tail(path, { cursor: tail.cursor }), { text: '', truncated: false })
    }
    let read = ''
    for (
      let piece = await logs.tail(path, { cursor });
      ;
      piece = await logs.tail(path, { cursor: piece.cursor })
    ) {
      t.ok(size(piece.text) <= 900 * KIB + 2)
      read += piece.text
      if (!piece.truncated) break
    }
    t.ok(read === file, 'in pieces nothing is missing')
  })

await t.test('lastLines gives the end of a file at once', async (t) => {
  const { path, logs } = logsIn(t)
  writeFileSync(path, 'a\nb\n€c\n')
  t.equal(logs.lastLines(path, 1000, 2), 'b\n€c')
  t.equal(logs.lastLines(path, 4, 2), 'c', 'not a part of a character')
  t.equal(logs.lastLines(path, 1000, 9), 'a\nb\n€c')
  writeFileSync(path, '')
  t.equal(logs.lastLines(path, 1000, 9), null)
})
