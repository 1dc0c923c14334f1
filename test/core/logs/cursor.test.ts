import { randomBytes, randomInt } from 'node:crypto'
import t from 'tap'
import { formatCursor, parseCursor } from '../../../src/core/logs/cursor.ts'
import { characterStart, wholeCharactersEnd } from '../../../src/core/logs/utf8.ts'

await t.test('a cursor comes back as it was written', async (t) => {
  for (const cursor of [
    { generation: { dev: 0n, ino: 1n, truncations: 0 }, offset: 0 },
    {
      generation: { dev: 2n ** 64n - 1n, ino: 2n ** 64n - 1n, truncations: 9 },
      offset: Number.MAX_SAFE_INTEGER,
      check: 2 ** 32 - 1,
    },
    { generation: { dev: 64769n, ino: 9007199254740993n, truncations: 1 }, offset: 7, check: 0 },
  ]) {
    t.same(parseCursor(formatCursor(cursor)), cursor)
    t.ok(formatCursor(cursor).length <= 60)
  }
})

await t.test('any other text is refused', async (t) => {
  const wrong = [
    '',
    '1',
    '1-1-1-1',
    '2-1-1-0-0',
    '1-1-1-0-0-',
    '1-01-1-0-0',
    '1-1-1-0-00',
    '1-1-1-0--1',
    '1-1-1-0-0-0-0',
  ]
  const more = [
    '1-1-1-0-0 ',
    '1-1-1-0-0\n',
    '1-A-1-0-0',
    '1-1-1-0-zzzzzzzzzzz',
    `1-${'1'.repeat(99)}-1-0-0`,
    '../1',
    '{"a":1}',
  ]
  for (const text of [...wrong, ...more])
    t.throws(
      () => parseCursor(text),
      { code: 'INVALID_PARAMS', facts: { issues: [{ path: 'cursor' }] } },
      JSON.stringify(text),
    )
})

await t.test('text cut at whole characters decodes as the text in one piece', async (t) => {
  const bits = ['a', 'é', '€', '😀', '\0', '\x1b', '\ufeff', '\ufffd'].map((text) => Buffer.from(text))
  for (let round = 0; round < 500; round++) {
    const parts = Array.from({ length: 12 }, () =>
      randomInt(3) === 0 ? randomBytes(randomInt(1, 4)) : (bits[randomInt(bits.length)] ?? Buffer.alloc(0)),
    )
    const bytes = Buffer.concat(parts)
    for (let size = 4; size < 9; size++) {
      let text = ''
      for (let start = 0; start < bytes.length; ) {
        const limit = Math.min(start + size, bytes.length)
        const end = limit === bytes.length ? limit : wholeCharactersEnd(bytes, start, limit)
        if (end <= start) throw new Error('no progress')
        text += bytes.toString('utf8', start, end)
        start = end
      }
      if (text !== bytes.toString('utf8')) t.fail(`${bytes.toString('hex')} cut at ${size}`)
    }
  }
  t.equal(characterStart(Buffer.from('€uro').subarray(1), 0), 2)
  t.equal(characterStart(Buffer.from([0x80, 0x80, 0x80, 0x80]), 0), 3)
})
