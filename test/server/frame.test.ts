import t from 'tap'
import { LIMITS } from '../../src/protocol/limits.ts'
import { readFrame } from '../../src/server/frame.ts'
import { parts, somebody } from './support.ts'

const PARSE_ERROR = -32700
const INVALID_REQUEST = -32600
const METHOD_NOT_FOUND = -32601
const INVALID_PARAMS = -32602

const request = (fields: Record<string, unknown> = {}) => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'agent.info',
  ...fields,
})
/** An object that nests to this depth, itself counted. */
const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
const within = (params: string) => `{"jsonrpc":"2.0","id":1,"method":"agent.info","params":${params}}`

const rows = [
  { it: 'broken JSON', text: '{"jsonrpc":', code: PARSE_ERROR, id: null },
  { it: 'empty text', text: '', code: PARSE_ERROR, id: null },
  { it: 'two objects', text: '{}{}', code: PARSE_ERROR, id: null },
  { it: 'a lone closing bracket', text: '}]}]', code: PARSE_ERROR, id: null },
  { it: 'a string that never ends', text: '"\\', code: PARSE_ERROR, id: null },
  { it: 'a byte order mark', text: `\uFEFF${JSON.stringify(request())}`, code: PARSE_ERROR, id: null },
  { it: 'a scalar', text: '5', code: INVALID_REQUEST, id: null },
  { it: 'a string', text: '"agent.info"', code: INVALID_REQUEST, id: null },
  { it: 'null', text: 'null', code: INVALID_REQUEST, id: null },
  { it: 'an empty list', text: '[]', code: INVALID_REQUEST, id: null },
  { it: 'an empty object', text: '{}', code: INVALID_REQUEST, id: null },
  { it: 'a batch', text: JSON.stringify(Array(1000).fill(request())), code: INVALID_REQUEST, id: null },
  { it: 'version 1.0', text: request({ jsonrpc: '1.0' }), code: INVALID_REQUEST, id: 1 },
  { it: 'no version', text: request({ jsonrpc: undefined }), code: INVALID_REQUEST, id: 1 },
  { it: 'a list as method', text: request({ method: ['agent.info'] }), code: INVALID_REQUEST, id: 1 },
  {
    it: 'a method of 129 characters',
    text: request({ method: 'a'.repeat(129) }),
    code: INVALID_REQUEST,
    id: 1,
  },
  { it: 'an object as id', text: request({ id: {} }), code: INVALID_REQUEST, id: null },
  { it: 'null as id', text: request({ id: null }), code: INVALID_REQUEST, id: null },
  { it: 'a fraction as id', text: request({ id: 1.5 }), code: INVALID_REQUEST, id: null },
  {
    it: 'an id over every number',
    text: '{"jsonrpc":"2.0","id":1e400,"method":"agent.info"}',
    code: INVALID_REQUEST,
    id: null,
  },
  { it: 'an id of 2^60', text: request({ id: 2 ** 60 }), code: INVALID_REQUEST, id: null },
  { it: 'an id of 10 KiB', text: request({ id: 'a'.repeat(10_240) }), code: INVALID_REQUEST, id: null },
  { it: 'a list as params', text: request({ params: [] }), code: INVALID_REQUEST, id: 1 },
  { it: 'null as params', text: request({ params: null }), code: INVALID_REQUEST, id: 1 },
  { it: 'an unknown key beside the known ones', text: request({ extra: 1 }), code: INVALID_REQUEST, id: 1 },
  {
    it: '__proto__ beside them',
    text: '{"jsonrpc":"2.0","id":1,"method":"agent.info","__proto__":{"a":1}}',
    code: INVALID_REQUEST,
    id: 1,
  },
  { it: 'depth 17', text: within(nested(16)), code: INVALID_REQUEST, id: 1 },
  {
    it: 'depth 17 before the id',
    text: `{"params":${nested(16)},"id":1,"jsonrpc":"2.0","method":"agent.info"}`,
    code: INVALID_REQUEST,
    id: null,
  },
  { it: '30 000 brackets', text: '['.repeat(30_000), code: INVALID_REQUEST, id: null },
  {
    it: '30 000 brackets behind an escaped quote',
    text: `["\\"",${'['.repeat(30_000)}`,
    code: INVALID_REQUEST,
    id: null,
  },
  { it: 'an unknown method', text: request({ method: 'agent.nothing' }), code: METHOD_NOT_FOUND, id: 1 },
  { it: 'the method __proto__', text: request({ method: '__proto__' }), code: METHOD_NOT_FOUND, id: 1 },
  { it: 'the method constructor', text: request({ method: 'constructor' }), code: METHOD_NOT_FOUND, id: 1 },
  { it: 'the method toString', text: request({ method: 'toString' }), code: METHOD_NOT_FOUND, id: 1 },
  {
    it: 'the method hasOwnProperty',
    text: request({ method: 'hasOwnProperty' }),
    code: METHOD_NOT_FOUND,
    id: 1,
  },
  { it: '__proto__ in params', text: within('{"__proto__":{"a":1}}'), code: INVALID_PARAMS, id: 1 },
  {
    it: 'constructor in params',
    text: within('{"constructor":{"prototype":{"a":1}}}'),
    code: INVALID_PARAMS,
    id: 1,
  },
  { it: 'depth 16', text: within(nested(15)), code: INVALID_PARAMS, id: 1 },
  { it: 'brackets in a string', text: within(`{"a":"${'['.repeat(100)}"}`), code: INVALID_PARAMS, id: 1 },
] as const

await t.test('hostile frames get the error that the protocol names', async (t) => {
  const { open } = await parts(t)
  for (const { it, text, code, id } of rows)
    await t.test(it, async (t) => {
      const peer = open()
      peer.say(text)
      const sent = await peer.answer(id)
      t.equal(sent.error?.code, code)
      t.equal(peer.frames.length, 2, 'hello and one answer')
      t.ok(JSON.stringify(sent).length < 500, 'the answer is short')
    })
  t.equal(({} as Record<string, unknown>)['a'], undefined, 'no prototype was touched')
})

await t.test('4000 unknown keys get a short answer', async (t) => {
  const { open } = await parts(t)
  const peer = open()
  const params = Object.fromEntries(
    Array.from({ length: 4000 }, (_, index) => [`unknown-key-${index}`, index]),
  )
  const { error } = await peer.answer(peer.ask('agent.info', params))
  t.equal(error?.code, INVALID_PARAMS)
  t.ok(JSON.stringify(error).length < 1500, `${JSON.stringify(error).length} characters`)
})

await t.test('at most three issues are told', async (t) => {
  const { open } = await parts(t)
  const peer = open(somebody({ scopes: new Set(['control']) }))
  const { error } = await peer.call('process.restart', {
    select: ['a b', 'c d', 'e f', 'g h'],
    timeoutMs: 1,
    mode: 'soft',
  })
  t.equal(error?.code, INVALID_PARAMS)
  t.equal((error?.data['issues'] as unknown[] | undefined)?.length, 3)
  t.match(error?.data['issues'], [{ path: 'select.0', message: String }])
})

await t.test('the depth limit is that of the caller', async (t) => {
  t.equal(readFrame('{"a":{}}', 1).error?.code, 'INVALID_REQUEST')
  t.match(readFrame('{"a":{}}', 1).error?.message, /nested deeper than 1/)
  t.notMatch(readFrame('{"a":{}}', 2).error?.message, /nested/)
})

await t.test('reading a frame is linear in its length', async (t) => {
  const text = within(`{"a":"${'\\"['.repeat(LIMITS.frameInBytes / 3)}"}`)
  const begin = performance.now()
  for (let i = 0; i < 20; i++) readFrame(text, LIMITS.depth)
  t.ok(performance.now() - begin < 2000, '20 frames of the greatest size within two seconds')
})

await t.test('a good frame comes out as it went in', async (t) => {
  const good = request({ id: 'x', params: { select: ['a'] } })
  t.strictSame(readFrame(JSON.stringify(good), 16), { request: good, id: 'x', error: null })
  const silent = { jsonrpc: '2.0', method: 'agent.info' }
  t.strictSame(readFrame(JSON.stringify(silent), 16), { request: silent, id: null, error: null })
})
