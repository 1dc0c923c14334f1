import t from 'tap'
import { anyGlob, globMatcher } from '../../src/lib/glob.ts'

const rows = [
  { pattern: '*', yes: ['', 'a', 'a:b', 'a/b'], no: [] },
  { pattern: 'web-*', yes: ['web-', 'web-1', 'web-1:x'], no: ['xweb-1', 'web', 'WEB-1'] },
  { pattern: '*:*', yes: [':', 'a:b'], no: ['a'] },
  { pattern: 'w?b', yes: ['web', 'w?b'], no: ['wb', 'weeb'] },
  { pattern: 'a.c', yes: ['a.c'], no: ['abc'] },
  { pattern: '[ab]*', yes: ['[ab]', '[ab]x'], no: ['a', 'b'] },
  { pattern: '', yes: [''], no: ['a'] },
  { pattern: '**', yes: ['', 'ab'], no: [] },
  { pattern: '*a*b', yes: ['ab', 'aab', 'xaxbxb'], no: ['aba', 'b'] },
  { pattern: '?', yes: ['a'], no: ['', 'ab'] },
  { pattern: '\\*', yes: ['\\', '\\a'], no: ['*'] },
]
for (const { pattern, yes, no } of rows)
  await t.test(`the pattern ${JSON.stringify(pattern)}`, async (t) => {
    const test = globMatcher(pattern)
    for (const subject of yes) t.equal(test(subject), true, `takes ${JSON.stringify(subject)}`)
    for (const subject of no) t.equal(test(subject), false, `refuses ${JSON.stringify(subject)}`)
  })

function text(alphabet: string, max: number): string {
  const length = Math.floor(Math.random() * (max + 1))
  return Array.from({ length }, () => alphabet[Math.floor(Math.random() * alphabet.length)]).join('')
}

/** The plain translation; only for patterns and subjects that are short. */
function byRegExp(pattern: string): RegExp {
  const body = pattern.replaceAll(/[.*+?^${}()|[\]\\]/g, (char) =>
    char === '*' ? '[^]*' : char === '?' ? '[^]' : `\\${char}`,
  )
  return new RegExp(`^${body}$`)
}

await t.test('property: it agrees with a regular expression on random inputs', async (t) => {
  let matches = 0
  for (let round = 0; round < 50_000; round++) {
    const [pattern, subject] = [text('ab*?.:', 8), text('ab.:*', 8)]
    const expected = byRegExp(pattern).test(subject)
    if (expected) matches++
    if (globMatcher(pattern)(subject) !== expected) t.fail(`${pattern} on ${subject}: should be ${expected}`)
  }
  t.ok(matches > 1000, `${matches} of them match`)
})

await t.test('its time is bounded on patterns that ruin a backtracking matcher', async (t) => {
  const pattern = `${'*a'.repeat(100)}*b`
  const begin = performance.now()
  t.equal(globMatcher(pattern)('a'.repeat(100_000)), false)
  t.equal(globMatcher(pattern)(`${'a'.repeat(100_000)}b`), true)
  t.equal(globMatcher('*a*a*a*b')('a'.repeat(200_000)), false)
  t.ok(performance.now() - begin < 3000, 'within three seconds')
})

await t.test('of several patterns one is enough, of none nothing matches', async (t) => {
  const test = anyGlob(['web-*', 'db'])
  t.strictSame(['web-1', 'db', 'cache'].map(test), [true, true, false])
  t.equal(anyGlob([])('a'), false)
})

await t.test('some characters only the pattern itself may hold', async (t) => {
  const cases = [
    ['run *', 'run a b', true],
    ['run *', 'run a; b', false],
    ['run *', 'run a|', false],
    ['run *; end', 'run a; end', true],
    ['run *; *', 'run a; b; c', false],
    ['a?c', 'a;c', false],
    ['a;c', 'a;c', true],
    ['*', ';', false],
    ['*', '', true],
  ] as const
  for (const [pattern, subject, expected] of cases)
    t.equal(globMatcher(pattern, { except: ';|' })(subject), expected, `${pattern} on ${subject}`)
})
