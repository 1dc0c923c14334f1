import { until } from '../../fixtures/wait.ts'
import { frame } from '../../transports/support.ts'
import type { Attack, Case } from '../attack.ts'
import { wordOf } from '../wire.ts'

const INVALID = 'INVALID_REQUEST -32600'
const PARAMS = 'INVALID_PARAMS -32602'
const BROKEN = 'PARSE_ERROR -32700'
const UNKNOWN = 'METHOD_NOT_FOUND -32601'

const call = (rest: string) => `{"jsonrpc":"2.0","id":1,${rest}}`
const withParams = (params: string) => call(`"method":"process.list","params":${params}`)
const restart = '"method":"process.restart","params":{"select":["db"],"idempotencyKey":"hostile-1"}'

/** The text of one frame, and what answers it. */
const rows: { it: string; text: string; expect: string }[] = [
  { it: 'broken JSON', text: '{"jsonrpc":"2.0","id":1,', expect: BROKEN },
  { it: 'an empty text', text: '', expect: BROKEN },
  { it: 'white space', text: ' \t\r\n', expect: BROKEN },
  { it: 'two objects in one frame', text: '{}{}', expect: BROKEN },
  { it: 'a comma too many', text: call('"method":"agent.info",'), expect: BROKEN },
  { it: 'single quotes', text: "{'jsonrpc':'2.0'}", expect: BROKEN },
  { it: 'a comment', text: call('"method":"agent.info" /* hello */'), expect: BROKEN },
  { it: 'NaN as id', text: '{"jsonrpc":"2.0","id":NaN,"method":"agent.info"}', expect: BROKEN },
  { it: 'a byte order mark', text: `\uFEFF${call('"method":"agent.info"')}`, expect: BROKEN },
  { it: 'a NUL between two tokens', text: call('"method":\0"agent.info"'), expect: BROKEN },
  { it: 'a raw line feed in a string', text: call('"method":"agent\n.info"'), expect: BROKEN },
  { it: 'a number', text: '42', expect: INVALID },
  { it: 'a string', text: '"agent.info"', expect: INVALID },
  { it: 'true', text: 'true', expect: INVALID },
  { it: 'null', text: 'null', expect: INVALID },
  { it: 'an empty object', text: '{}', expect: INVALID },
  { it: 'an empty batch', text: '[]', expect: INVALID },
  { it: 'a batch of one restart', text: `[${call(restart)}]`, expect: INVALID },
  { it: 'a batch of 1000', text: `[${Array(1000).fill('{"jsonrpc":"2.0"}').join()}]`, expect: INVALID },
  { it: 'version 1.0', text: '{"jsonrpc":"1.0","id":1,"method":"agent.info"}', expect: INVALID },
  { it: 'version 2.0 as a number', text: '{"jsonrpc":2.0,"id":1,"method":"agent.info"}', expect: INVALID },
  { it: 'no version', text: '{"id":1,"method":"agent.info"}', expect: INVALID },
  { it: 'no method', text: '{"jsonrpc":"2.0","id":1}', expect: INVALID },
  { it: 'an answer in place of a request', text: '{"jsonrpc":"2.0","id":1,"result":{}}', expect: INVALID },
  { it: 'a field more', text: call('"method":"agent.info","extra":1'), expect: INVALID },
  { it: 'a method as list', text: call('"method":["process.restart"]'), expect: INVALID },
  { it: 'a method as object', text: call('"method":{"toString":"agent.info"}'), expect: INVALID },
  { it: 'a method of 10 KiB', text: call(`"method":"${'m'.repeat(10_240)}"`), expect: INVALID },
  { it: 'an id that is an object', text: '{"jsonrpc":"2.0","id":{},"method":"agent.info"}', expect: INVALID },
  { it: 'an id that is a list', text: '{"jsonrpc":"2.0","id":[1],"method":"agent.info"}', expect: INVALID },
  { it: 'an id of true', text: '{"jsonrpc":"2.0","id":true,"method":"agent.info"}', expect: INVALID },
  { it: 'an id of null', text: '{"jsonrpc":"2.0","id":null,"method":"agent.info"}', expect: INVALID },
  { it: 'an id of 1e400', text: '{"jsonrpc":"2.0","id":1e400,"method":"agent.info"}', expect: INVALID },
  { it: 'an id of 1.5', text: '{"jsonrpc":"2.0","id":1.5,"method":"agent.info"}', expect: INVALID },
  {
    it: 'an id of 2^60',
    text: '{"jsonrpc":"2.0","id":1152921504606846976,"method":"agent.info"}',
    expect: INVALID,
  },
  {
    it: 'an id of 65 characters',
    text: `{"jsonrpc":"2.0","id":"${'i'.repeat(65)}","method":"agent.info"}`,
    expect: INVALID,
  },
  {
    it: 'an id of 10 KiB',
    text: `{"jsonrpc":"2.0","id":"${'i'.repeat(10_240)}","method":"agent.info"}`,
    expect: INVALID,
  },
  { it: 'params as list', text: withParams('["db"]'), expect: INVALID },
  { it: 'params as string', text: withParams('"db"'), expect: INVALID },
  { it: 'params of null', text: withParams('null'), expect: INVALID },
  { it: 'depth 17', text: withParams(`{"select":${'['.repeat(15)}${']'.repeat(15)}}`), expect: INVALID },
  { it: 'depth 16', text: withParams(`{"select":${'['.repeat(14)}${']'.repeat(14)}}`), expect: PARAMS },
  { it: '30 000 brackets', text: '['.repeat(30_000), expect: INVALID },
  { it: '30 000 objects in each other', text: '{"a":'.repeat(30_000), expect: INVALID },
  {
    it: '100 000 brackets in a string',
    text: withParams(`{"select":"${'['.repeat(100_000)}"}`),
    expect: PARAMS,
  },
  {
    it: '__proto__ at the top',
    text: call('"method":"agent.info","__proto__":{"scopes":["admin"]}'),
    expect: INVALID,
  },
  { it: '__proto__ in the params', text: withParams('{"__proto__":{"select":["db"]}}'), expect: PARAMS },
  {
    it: '__proto__ as params',
    text: call('"method":"agent.info","params":{"__proto__":null}'),
    expect: PARAMS,
  },
  {
    it: 'constructor.prototype in the params',
    text: withParams('{"constructor":{"prototype":{"a":1}}}'),
    expect: PARAMS,
  },
  { it: 'toString in the params', text: withParams('{"toString":1}'), expect: PARAMS },
  ...[
    'no.such',
    '',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'valueOf',
    'process',
    'process.',
  ].map((method) => ({
    it: `the method ${method || 'without a name'}`,
    text: call(`"method":"${method}"`),
    expect: UNKNOWN,
  })),
  ...[
    'Process.List',
    'process.list ',
    'process.list\\u0000',
    'process/list',
    'system.listMethods',
    'rpc.on',
  ].map((method) => ({ it: `the method ${method}`, text: call(`"method":"${method}"`), expect: UNKNOWN })),
  { it: 'a command without id', text: `{"jsonrpc":"2.0",${restart}}`, expect: 'nothing' },
  { it: 'an unknown method without id', text: '{"jsonrpc":"2.0","method":"no"}', expect: 'nothing' },
  {
    it: 'a key given twice: the last one counts',
    text: call(`"method":"agent.info","method":"no"`),
    expect: UNKNOWN,
  },
  {
    it: 'an id of 2^53-1',
    text: '{"jsonrpc":"2.0","id":9007199254740991,"method":"agent.info","params":{}}',
    expect: 'ok',
  },
  { it: 'an id that is empty', text: '{"jsonrpc":"2.0","id":"","method":"agent.info"}', expect: 'ok' },
]

/** More frames than one. */
const habits: Case[] = [
  {
    it: '4000 unknown keys get a short answer',
    expect: `${PARAMS}, short`,
    async send(attack) {
      const wire = await attack.session(attack.tokens.viewer)
      const keys = Object.fromEntries(Array.from({ length: 4000 }, (_, i) => [`unknown-${i}`, i]))
      const reply = await wire.ask('process.list', keys)
      return `${wordOf(reply)}, ${JSON.stringify(reply).length < 1500 ? 'short' : 'long'}`
    },
  },
  {
    it: 'three wrong parameters of a hundred are named',
    expect: `${PARAMS}, 3 issues`,
    async send(attack) {
      const wire = await attack.session(attack.tokens.viewer)
      const reply = await wire.ask('process.list', { select: Array(100).fill(7) })
      const issues = reply.error?.data['issues']
      return `${wordOf(reply)}, ${Array.isArray(issues) ? issues.length : 'no'} issues`
    },
  },
  {
    it: '24 malformed frames are answered, the 25th closes',
    expect: '25 answers, close 1008',
    send: async (attack) => await flood(attack, Array(40).fill(frame(1, 'nonsense'))),
  },
  {
    it: 'frames that are refused for what they ask do not count as malformed',
    expect: '60 answers',
    async send(attack) {
      const wire = await attack.session(attack.tokens.viewer)
      const no = Array.from({ length: 30 }, (_, id) => frame(1, `{"jsonrpc":"2.0","id":${id},"method":"no"}`))
      const words = `${await wire.answers(...no)}, ${await wire.answers(...no)}`
      return `${words.split(', ').filter((word) => word === UNKNOWN).length} answers`
    },
  },
  {
    it: '400 good calls in one write',
    expect: 'close 4429',
    async send(attack) {
      const how = await flood(attack, Array(400).fill(frame(1, call('"method":"agent.info"'))))
      return how.replace(/^\d+ answers, /, '')
    },
  },
  {
    it: '150 good calls in one write: what is over the rate is refused, the connection stays',
    expect: 'ok and TOO_MANY_REQUESTS 1006',
    async send(attack) {
      const wire = await attack.session(attack.tokens.viewer)
      wire.write(
        ...Array.from({ length: 150 }, (_, i) =>
          frame(1, JSON.stringify({ jsonrpc: '2.0', id: i, method: 'rpc.cancel', params: { id: 'nobody' } })),
        ),
      )
      await until(() => wire.replies().length === 150, 'an answer to each')
      return [...new Set(wire.replies().map(wordOf))].toSorted().toReversed().join(' and ')
    },
  },
  {
    it: '40 slow calls at once',
    expect: '32 wait, 8 x TOO_MANY_REQUESTS 1006',
    async send(attack) {
      const wire = await attack.session(attack.tokens.operator)
      wire.write(
        ...Array.from({ length: 40 }, (_, i) =>
          frame(
            1,
            JSON.stringify({
              jsonrpc: '2.0',
              id: i,
              method: 'process.stop',
              params: { select: ['stuck'], timeoutMs: 3_000, idempotencyKey: attack.key() },
            }),
          ),
        ),
      )
      await until(() => wire.replies().length >= 8, 'the refusals')
      const refused = wire.replies().map(wordOf)
      return `${40 - refused.length} wait, ${refused.length} x ${[...new Set(refused)].join()}`
    },
  },
  {
    it: 'an id that is in use',
    expect: INVALID,
    async send(attack) {
      const wire = await attack.session(attack.tokens.operator)
      const stop = (key: string) =>
        frame(
          1,
          JSON.stringify({
            jsonrpc: '2.0',
            id: 'twice',
            method: 'process.stop',
            params: { select: ['stuck'], timeoutMs: 3_000, idempotencyKey: key },
          }),
        )
      return await wire.answers(stop(attack.key()), stop(attack.key()))
    },
  },
  {
    it: '20 subscriptions',
    expect: '16 ok, 4 x TOO_MANY_SUBSCRIPTIONS 1008',
    async send(attack) {
      const wire = await attack.session(attack.tokens.viewer)
      const words = []
      for (let i = 0; i < 20; i++) words.push(await wire.call('event.subscribe', { types: ['none'] }))
      const refused = words.filter((word) => word !== 'ok')
      return `${words.length - refused.length} ok, ${refused.length} x ${[...new Set(refused)].join()}`
    },
  },
  {
    it: '40 log streams',
    expect: '32 ok, 8 x TOO_MANY_SUBSCRIPTIONS 1008',
    async send(attack) {
      const wire = await attack.session(attack.tokens.viewer)
      const words = []
      for (let i = 0; i < 40; i++) words.push(await wire.call('log.follow', { select: ['web'] }))
      const refused = words.filter((word) => word !== 'ok')
      return `${words.length - refused.length} ok, ${refused.length} x ${[...new Set(refused)].join()}`
    },
  },
]

/** What became of a connection that got all those frames at once. */
async function flood(attack: Attack, frames: Buffer[]): Promise<string> {
  const wire = await attack.session(attack.tokens.admin)
  wire.write(Buffer.concat([...frames, attack.trap()]))
  const how = await wire.close()
  return `${wire.replies().length} answers, ${how}`
}

export const jsonRpc: Case[] = [
  ...rows.map(
    ({ text, ...row }): Case => ({
      ...row,
      async send(attack) {
        const wire = await attack.session(attack.tokens.admin)
        return await wire.answers(frame(1, text))
      },
    }),
  ),
  ...habits,
]
