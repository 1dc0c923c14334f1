import { until } from '../../fixtures/wait.ts'
import { bearer, frame, upgradeRequest } from '../../transports/support.ts'
import type { Case } from '../attack.ts'

const MAX = 256 * 1024
const hex = (text: string) => Buffer.from(text, 'hex')
const times = (n: number, bytes: Buffer) => Buffer.concat(Array.from({ length: n }, () => bytes))
const closing = (code: number, reason: string | Buffer = '') => {
  const head = Buffer.alloc(2)
  head.writeUInt16BE(code)
  return frame(8, Buffer.concat([head, Buffer.from(reason)]))
}
const started = (text: string) => frame(1, text, { fin: false })
const more = (text: string) => frame(0, text, { fin: false })

/** Bytes after the upgrade, and the close code that answers them. A call follows each; it is never run. */
const rows: { it: string; bytes: Buffer; expect: string }[] = [
  { it: 'an unmasked frame', bytes: frame(1, '{}', { masked: false }), expect: 'close 1002' },
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => ({
    it: `opcode ${opcode}`,
    bytes: frame(opcode, 'a'),
    expect: 'close 1002',
  })),
  { it: 'RSV1', bytes: frame(1, '{}', { reserved: 0x40 }), expect: 'close 1002' },
  { it: 'RSV2', bytes: frame(1, '{}', { reserved: 0x20 }), expect: 'close 1002' },
  { it: 'RSV3', bytes: frame(1, '{}', { reserved: 0x10 }), expect: 'close 1002' },
  { it: 'a frame of one byte too many', bytes: frame(1, 'a'.repeat(MAX + 1)), expect: 'close 1009' },
  {
    it: 'a claim of one byte too many',
    bytes: frame(1, '', { claims: BigInt(MAX + 1) }),
    expect: 'close 1009',
  },
  { it: 'a claim of 2^53-1 bytes', bytes: frame(1, '', { claims: 2n ** 53n - 1n }), expect: 'close 1009' },
  { it: 'a claim of 2^63 bytes', bytes: frame(1, '', { claims: 2n ** 63n }), expect: 'close 1009' },
  {
    it: 'fragments that add up to too much',
    bytes: Buffer.concat([started('a'.repeat(MAX)), more('a')]),
    expect: 'close 1009',
  },
  {
    it: '70 fragments of one byte',
    bytes: Buffer.concat([started('a'), times(70, more('a'))]),
    expect: 'close 1008',
  },
  {
    it: '70 fragments of none',
    bytes: Buffer.concat([started(''), times(70, more(''))]),
    expect: 'close 1008',
  },
  { it: 'a continuation of nothing', bytes: frame(0, '{}'), expect: 'close 1002' },
  {
    it: 'a message inside a message',
    bytes: Buffer.concat([started('{'), frame(1, '}')]),
    expect: 'close 1002',
  },
  { it: 'a ping in fragments', bytes: frame(9, 'a', { fin: false }), expect: 'close 1002' },
  { it: 'a close in fragments', bytes: frame(8, '', { fin: false }), expect: 'close 1002' },
  { it: 'a ping of 126 bytes', bytes: frame(9, 'a'.repeat(126)), expect: 'close 1002' },
  { it: 'a pong of 126 bytes', bytes: frame(10, 'a'.repeat(126)), expect: 'close 1002' },
  { it: 'text C3 28', bytes: frame(1, hex('c328')), expect: 'close 1007' },
  { it: 'an overlong slash', bytes: frame(1, hex('c0af')), expect: 'close 1007' },
  { it: 'a surrogate in UTF-8', bytes: frame(1, hex('eda080')), expect: 'close 1007' },
  { it: 'a character past the last', bytes: frame(1, hex('f4908080')), expect: 'close 1007' },
  {
    it: 'a character cut in two by the end',
    bytes: Buffer.concat([started('a'), frame(0, hex('e282'))]),
    expect: 'close 1007',
  },
  { it: 'bad UTF-8 in a close reason', bytes: closing(1000, hex('c328')), expect: 'close 1007' },
  { it: 'a binary frame', bytes: frame(2, 'a'), expect: 'close 1003' },
  { it: 'an empty binary frame', bytes: frame(2), expect: 'close 1003' },
  { it: 'a close body of one byte', bytes: frame(8, 'a'), expect: 'close 1002' },
  { it: 'a close of 126 bytes', bytes: closing(1000, 'a'.repeat(124)), expect: 'close 1002' },
  ...[0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535].map((code) => ({
    it: `close code ${code} on the wire`,
    bytes: closing(code),
    expect: 'close 1002',
  })),
  { it: 'an orderly close', bytes: closing(1000, 'bye'), expect: 'close 1000' },
  { it: 'a close of a code of its own', bytes: closing(4999), expect: 'close 4999' },
  { it: 'a close without a code', bytes: frame(8), expect: 'cut' },
]

/** Ways to send, or not to read, that are not a frame of their own. */
const habits: Case[] = [
  {
    it: 'a call in one-byte pieces',
    expect: 'METHOD_NOT_FOUND -32601',
    async send(attack) {
      const wire = await attack.session(attack.tokens.viewer)
      wire.client.socket.setNoDelay(true)
      const bytes = frame(1, '{"jsonrpc":"2.0","id":1,"method":"no"}')
      for (let at = 0; at < bytes.length; at++) wire.write(bytes.subarray(at, at + 1))
      return await wire.answers()
    },
  },
  {
    it: 'pings and pongs between the fragments of a call',
    expect: 'ok',
    async send(attack) {
      const wire = await attack.session(attack.tokens.viewer)
      const [head, tail] = ['{"jsonrpc":"2.0","id":1,', '"method":"agent.info","params":{}}']
      return await wire.answers(started(head), frame(9, 'are you there'), frame(10, 'I am'), frame(0, tail))
    },
  },
  {
    it: 'a frame before the upgrade is answered',
    expect: 'ok',
    async send(attack) {
      const call = frame(1, '{"jsonrpc":"2.0","id":1,"method":"agent.info","params":{}}')
      const client = attack.bytes(
        Buffer.concat([Buffer.from(upgradeRequest(bearer(attack.tokens.viewer))), call]),
      )
      await until(() => client.frames().filter(({ opcode }) => opcode === 1).length === 2, 'hello and answer')
      return client.frames()[1]?.payload.includes('"result"') ? 'ok' : 'no result'
    },
  },
  {
    it: 'five thousand pings in one write',
    expect: 'cut',
    async send(attack) {
      const wire = await attack.session(attack.tokens.viewer)
      wire.client.socket.pause()
      wire.write(times(5000, frame(9, 'a'.repeat(125))), attack.trap())
      wire.client.socket.resume()
      return await wire.close()
    },
  },
  {
    it: 'pings without end whose answers nobody reads',
    expect: 'let go',
    async send(attack) {
      const wire = await attack.session(attack.tokens.viewer)
      const { socket } = wire.client
      socket.pause()
      const pings = times(1000, frame(9, 'a'.repeat(125)))
      const flood = setInterval(() => socket.destroyed || socket.write(pings), 1)
      attack.teardown(() => clearInterval(flood))
      await until(() => socket.destroyed || wire.isEnded || socket.errored, 'the end')
      return 'let go'
    },
  },
  {
    it: 'FIN right after the upgrade',
    expect: 'cut',
    async send(attack) {
      const client = attack.bytes(upgradeRequest(bearer(attack.tokens.viewer)))
      client.socket.end()
      await client.ended
      return client.closeCode === undefined ? 'cut' : `close ${client.closeCode}`
    },
  },
  {
    it: 'a reset in the middle of a frame',
    expect: 'cut',
    async send(attack) {
      const wire = await attack.session(attack.tokens.viewer)
      wire.write(frame(1, 'abc', { claims: 100_000n }))
      wire.client.socket.resetAndDestroy()
      return await wire.close()
    },
  },
  {
    it: 'a frame that never ends does not hold up another session',
    expect: 'ok',
    async send(attack) {
      const wire = await attack.session(attack.tokens.viewer)
      wire.write(frame(1, 'abc', { claims: 100_000n }))
      return await attack.call(attack.tokens.viewer, 'agent.info', {})
    },
  },
  {
    it: 'a peer that never answers our close',
    expect: 'close 1003, within seconds',
    isSlow: true,
    async send(attack) {
      const wire = await attack.session(attack.tokens.viewer)
      const startedAt = performance.now()
      wire.write(frame(2, 'a'))
      await wire.client.ended
      const isSoon = performance.now() - startedAt < 8_000
      return `${await wire.close()}, ${isSoon ? 'within seconds' : 'late'}`
    },
  },
]

export const framing: Case[] = [
  ...rows.map(
    ({ bytes, ...row }): Case => ({
      ...row,
      async send(attack) {
        const wire = await attack.session(attack.tokens.admin)
        wire.write(Buffer.concat([bytes, attack.trap()]))
        const how = await wire.close()
        return wire.replies().length === 0 ? how : `${how}, after an answer`
      },
    }),
  ),
  ...habits,
]
