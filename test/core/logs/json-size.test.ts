import t from 'tap'
import { jsonEnd, jsonSize } from '../../../src/core/logs/json-size.ts'

const jsonBytes = (text: string) => Buffer.byteLength(JSON.stringify(text)) - 2

await t.test('the size is that of JSON.stringify, for every kind of character', (t) => {
  const texts = ['', 'a😀', 'ä€\ufffd\u2028', '"\\/', '\u007f\u0080\u07ff\u0800\uffff']
  for (let code = 0; code < 0x100; code++) texts.push(String.fromCharCode(code))
  for (const text of texts) if (jsonSize(text) !== jsonBytes(text)) t.fail(JSON.stringify(text))
  t.end()
})

await t.test('the end is the longest one that fits, of whole characters', (t) => {
  const text = 'a\0b😀"c'
  const ends = ['a\0b😀"c', '\0b😀"c', 'b😀"c', '😀"c', '"c', 'c', '']
  for (let max = 0; max <= jsonBytes(text) + 1; max++)
    t.equal(
      jsonEnd(text, max),
      ends.find((end) => jsonBytes(end) <= max),
      `${max} bytes`,
    )
  t.end()
})
