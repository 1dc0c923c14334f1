import { crc32 as zlibCrc32 } from 'node:zlib'
import t from 'tap'
import { crc32, formatToken, parseToken, TOKEN_PATTERN, withoutTokens } from '../../src/protocol/token.ts'

const id = 'AbCdEf0123'
const secret = 'x'.repeat(42) + 'Y'

await t.test('a token is read back as it was written', async (t) => {
  const text = formatToken(id, secret)
  t.equal(text.length, 64)
  t.match(text, TOKEN_PATTERN)
  t.strictSame(parseToken(text), { id, secret })
})

await t.test('crc32 gives the published check value and agrees with zlib', async (t) => {
  t.equal(crc32('123456789'), 0xcbf43926)
  t.equal(crc32(''), 0)
  if (typeof zlibCrc32 === 'function')
    for (const text of ['a', formatToken(id, secret)]) t.equal(crc32(text), zlibCrc32(text))
})

await t.test('every change of one character is noticed', async (t) => {
  const text = formatToken(id, secret)
  const taken = [...Array(text.length).keys()].filter((at) => {
    const other = text[at] === 'q' ? 'r' : 'q'
    return parseToken(text.slice(0, at) + other + text.slice(at + 1)) !== null
  })
  t.strictSame(taken, [])
})

await t.test('two characters swapped are noticed', async (t) => {
  const text = formatToken(id, `${'ab'.repeat(21)}c`)
  const taken = [...Array(text.length).keys()].filter((at) => {
    const [first, second] = [text[at], text[at + 1]]
    if (second === undefined || first === second) return false
    return parseToken(text.slice(0, at) + second + first + text.slice(at + 2)) !== null
  })
  t.strictSame(taken, [])
})

const good = formatToken(id, secret)
const refused = [
  { it: 'nothing', text: '' },
  { it: 'the prefix alone', text: 'agt_' },
  { it: 'another prefix', text: good.replace('agt_', 'ghp_') },
  { it: 'a prefix in capitals', text: good.replace('agt_', 'AGT_') },
  { it: 'a space before', text: ` ${good}` },
  { it: 'a newline after', text: `${good}\n` },
  { it: 'a character more', text: `${good}0` },
  { it: 'a character less', text: good.slice(0, -1) },
  { it: 'a letter outside base62', text: good.replace('x', 'é') },
  { it: 'a dash in the secret', text: good.replace('x', '-') },
  { it: 'two tokens', text: good + good },
  { it: 'a megabyte', text: `agt_${'a'.repeat(1 << 20)}` },
]
for (const { it, text } of refused)
  await t.test(`refuses ${it}`, async (t) => {
    t.equal(parseToken(text), null)
  })

const parts = [
  { it: 'a short id', id: 'abc', secret },
  { it: 'an id with a dash', id: 'abc-efghij', secret },
  { it: 'an empty secret', id, secret: '' },
  { it: 'a long secret', id, secret: `${secret}z` },
]
for (const { it, id: itsId, secret: itsSecret } of parts)
  await t.test(`does not write a token of ${it}`, async (t) => {
    t.throws(() => formatToken(itsId, itsSecret), RangeError)
  })

await t.test('tokens within a text keep their id alone', (t) => {
  const token = formatToken('0123456789', 'a'.repeat(43))
  t.equal(
    withoutTokens(`no ${token}, nor ${token}!`),
    'no agt_0123456789_[secret], nor agt_0123456789_[secret]!',
  )
  t.equal(withoutTokens(`cut: ${token.slice(0, 30)}`), 'cut: agt_0123456789_[secret]')
  t.equal(withoutTokens('agt_012345678_short, agt_0123456789_'), 'agt_012345678_short, agt_0123456789_')
  t.end()
})
