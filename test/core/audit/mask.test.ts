import t from 'tap'
import { maskParams, maskText } from '../../../src/core/audit/mask.ts'

const TOKEN = `agt_a1B2c3D4e5_${'x'.repeat(49)}`

const rows: {
  it: string
  params: Record<string, unknown>
  secrets?: string[]
  kept: Record<string, unknown>
}[] = [
  {
    it: 'plain parameters stay',
    params: { select: ['a'], wait: true, n: 1, none: null },
    kept: { select: ['a'], wait: true, n: 1, none: null },
  },
  {
    it: 'a secret by its schema',
    params: { process: 'a', text: 'pass' },
    secrets: ['text'],
    kept: { process: 'a', text: '[secret]' },
  },
  {
    it: 'values of an environment; its names stay',
    params: { definition: { name: 'a', environment: { KEY: 'v' } } },
    kept: { definition: { name: 'a', environment: { KEY: '[secret]' } } },
  },
  {
    it: 'a list of secrets',
    params: { entry: { env: ['A=b'] } },
    kept: { entry: { env: '[secret]' } },
  },
  {
    it: 'what is called a password, at any depth',
    params: { options: [{ dbPassword: 'p', host: 'h' }] },
    kept: { options: [{ dbPassword: '[secret]', host: 'h' }] },
  },
  {
    it: 'a secret by its path, at any depth',
    params: { definition: { options: { key: 'k', other: 'o' } } },
    secrets: ['definition.options.key'],
    kept: { definition: { options: { key: '[secret]', other: 'o' } } },
  },
  {
    it: 'an object that is a secret as a whole, names and all',
    params: { method: 'process.stdin', params: { process: 'a', s3cret: 1 } },
    secrets: ['params'],
    kept: { method: 'process.stdin', params: '[secret]' },
  },
  {
    it: 'the text of a token where its name belongs',
    params: { token: TOKEN, list: [`is ${TOKEN}?`] },
    kept: { token: 'agt_a1B2c3D4e5_[secret]', list: ['is agt_a1B2c3D4e5_[secret]?'] },
  },
  {
    it: 'long text and long lists',
    params: { text: 'x'.repeat(1000), select: Array.from({ length: 100 }, (_, i) => `p${i}`) },
    kept: {
      text: `${'x'.repeat(256)}…`,
      select: [...Array.from({ length: 64 }, (_, i) => `p${i}`), '… 36 more'],
    },
  },
]
for (const { it, params, secrets, kept } of rows)
  await t.test(it, (t) => {
    t.strictSame(maskParams(params, secrets), kept)
    t.end()
  })

await t.test('what is large altogether is left out', (t) => {
  const params = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`p${i}`, 'x'.repeat(200)]))
  t.strictSame(maskParams(params), { cut: 'over 8192 bytes' })
  t.strictSame(maskText(`${'x'.repeat(250)}${TOKEN}`).includes('xxxxx_x'), false)
  t.end()
})
