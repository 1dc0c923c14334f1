import { formatToken } from '../../../src/protocol/token.ts'
import { bearer, upgradeRequest } from '../../transports/support.ts'
import type { Attack, Case } from '../attack.ts'
import { ORIGIN } from '../target.ts'

type Headers = Record<string, string | null>

interface Row {
  it: string
  headers?: (attack: Attack) => Headers
  line?: string
  /** Headers go without a good token. */
  isBare?: true
  expect: string
}

const PROTOCOL = 'Sec-WebSocket-Protocol'
const offer = (token: string) => ({ [PROTOCOL]: `supervisor-agent.v1, bearer.${token}` })
const idOf = (token: string) => token.slice(4, 14)
const authorization = (text: string) => () => ({ Authorization: text })

const rows: Row[] = [
  { it: 'a good token in the header', expect: '101' },
  {
    it: 'compression on offer',
    headers: () => ({ 'Sec-WebSocket-Extensions': 'permessage-deflate' }),
    expect: '101',
  },
  {
    it: 'a good token in the subprotocols, and an allowed origin',
    isBare: true,
    headers: ({ tokens }) => ({ ...offer(tokens.viewer), Origin: ORIGIN }),
    expect: '101',
  },
  { it: 'no token', isBare: true, expect: '401' },
  { it: 'an empty header', isBare: true, headers: authorization(''), expect: '401' },
  { it: 'Basic', isBare: true, headers: authorization('Basic YWdlbnQ6YWdlbnQ='), expect: '401' },
  { it: 'a scheme alone', isBare: true, headers: authorization('Bearer '), expect: '401' },
  {
    it: 'header and subprotocol both',
    headers: ({ tokens }) => offer(tokens.viewer),
    expect: '401',
  },
  {
    it: 'two tokens in the subprotocols',
    isBare: true,
    headers: ({ tokens }) => ({
      [PROTOCOL]: `supervisor-agent.v1, bearer.${tokens.viewer}, bearer.${tokens.admin}`,
    }),
    expect: '401',
  },
  {
    it: 'a subprotocol token without our subprotocol',
    isBare: true,
    headers: ({ tokens }) => ({ [PROTOCOL]: `bearer.${tokens.viewer}` }),
    expect: '401',
  },
  {
    it: 'a second token in a second header',
    headers: ({ tokens }) => ({ authorization: `Bearer ${tokens.viewer}` }),
    expect: '401',
  },
  { it: 'a good token and an empty query', line: 'GET /ws? HTTP/1.1', expect: '401' },
  { it: 'a good token and a query', line: 'GET /ws?a=b HTTP/1.1', expect: '401' },
  { it: 'a token of another form', isBare: true, headers: authorization('Bearer agt_short'), expect: '401' },
  {
    it: 'a token with a bad checksum',
    isBare: true,
    headers: ({ tokens: { viewer } }) => bearer(viewer.slice(0, -1) + (viewer.endsWith('0') ? '1' : '0')),
    expect: '401',
  },
  {
    it: 'a token with an unknown id',
    isBare: true,
    headers: () => bearer(formatToken('0123456789', 'a'.repeat(43))),
    expect: '401',
  },
  {
    it: 'a token with a wrong secret',
    isBare: true,
    headers: ({ tokens }) => bearer(formatToken(idOf(tokens.admin), 'a'.repeat(43))),
    expect: '401',
  },
  {
    it: 'a token that was revoked',
    isBare: true,
    headers: ({ tokens }) => bearer(tokens.revoked),
    expect: '401',
  },
  {
    it: 'a token that expired',
    isBare: true,
    headers: ({ tokens }) => bearer(tokens.expired),
    expect: '401',
  },
  {
    it: 'a token of 6000 characters',
    isBare: true,
    headers: () => bearer(`agt_${'a'.repeat(6000)}`),
    expect: '401',
  },
  {
    it: 'the id __proto__',
    isBare: true,
    headers: () => bearer(`agt___proto___${'a'.repeat(49)}`),
    expect: '401',
  },
  { it: 'a foreign origin', headers: () => ({ Origin: 'https://evil.example' }), expect: '403' },
  { it: 'the origin null', headers: () => ({ Origin: 'null' }), expect: '403' },
  { it: 'an empty origin', headers: () => ({ Origin: '' }), expect: '403' },
  { it: 'an origin that begins like ours', headers: () => ({ Origin: `${ORIGIN}.evil.com` }), expect: '403' },
  { it: 'our origin with a port', headers: () => ({ Origin: `${ORIGIN}:444` }), expect: '403' },
  { it: 'our origin over http', headers: () => ({ Origin: 'http://panel.example' }), expect: '403' },
  { it: 'our origin in capitals', headers: () => ({ Origin: ORIGIN.toUpperCase() }), expect: '403' },
  { it: 'a path that climbs', line: 'GET /v1/../admin HTTP/1.1', expect: '404' },
  { it: 'a path that climbs to ours', line: 'GET /x/../ws HTTP/1.1', expect: '404' },
  { it: 'our path in percents', line: 'GET /%77s HTTP/1.1', expect: '404' },
  { it: 'our path in capitals', line: 'GET /WS HTTP/1.1', expect: '404' },
  { it: 'our path twice slashed', line: 'GET //ws HTTP/1.1', expect: '404' },
  { it: 'our path with a slash behind', line: 'GET /ws/ HTTP/1.1', expect: '404' },
  { it: 'an absolute target', line: 'GET http://127.0.0.1/ws HTTP/1.1', expect: '404' },
  { it: 'the target of a proxy request', line: 'GET http://169.254.169.254/latest HTTP/1.1', expect: '404' },
  { it: 'an upgrade of /healthz', line: 'GET /healthz HTTP/1.1', expect: '400' },
  { it: 'an upgrade by POST', line: 'POST /ws HTTP/1.1', expect: '405' },
  { it: 'an upgrade by DELETE', line: 'DELETE /ws HTTP/1.1', expect: '405' },
  { it: 'an upgrade to h2c', headers: () => ({ Upgrade: 'h2c' }), expect: '426' },
  { it: 'GET without an upgrade', headers: () => ({ Upgrade: null, Connection: null }), expect: '426' },
  { it: 'version 12', headers: () => ({ 'Sec-WebSocket-Version': '12' }), expect: '400' },
  { it: 'no version of the protocol', headers: () => ({ 'Sec-WebSocket-Version': null }), expect: '400' },
  { it: 'a key of 5 bytes', headers: () => ({ 'Sec-WebSocket-Key': 'c2hvcnQ=' }), expect: '400' },
  { it: 'no key', headers: () => ({ 'Sec-WebSocket-Key': null }), expect: '400' },
  { it: 'no Host', headers: () => ({ Host: null }), expect: '400' },
  { it: 'HTTP/1.0', line: 'GET /ws HTTP/1.0', expect: '400' },
  { it: 'a broken list of subprotocols', headers: () => ({ [PROTOCOL]: 'a,,b' }), expect: '400' },
]

export const handshake: Case[] = rows.map(({ it, headers, line, isBare, expect }) => ({
  it,
  expect,
  send: async (attack) =>
    await attack.upgrade({ ...(isBare ? {} : bearer(attack.tokens.viewer)), ...headers?.(attack) }, line),
}))

/** Cases that take more than one connection, or look at more than the status. */
export const admission: Case[] = [
  {
    it: 'of the subprotocols on offer only ours comes back, and no extension',
    expect: 'supervisor-agent.v1 undefined',
    async send(attack) {
      const headers = { ...offer(attack.tokens.viewer), 'Sec-WebSocket-Extensions': 'permessage-deflate' }
      const client = attack.bytes(upgradeRequest(headers))
      await attack.answered(client)
      return `${client.header(PROTOCOL)} ${client.header('Sec-WebSocket-Extensions')}`
    },
  },
  {
    it: 'a good token in the query is as none',
    expect: '401',
    send: async (attack) => await attack.upgrade({}, `GET /ws?token=${attack.tokens.admin} HTTP/1.1`),
  },
  {
    it: 'five tokens that do not verify, then a good one',
    expect: '401 401 401 401 401 429',
    async send(attack) {
      const seen = []
      for (let i = 0; i < 5; i++)
        seen.push(await attack.upgrade(bearer(formatToken(`000000000${i}`, 'b'.repeat(43)))))
      return [...seen, await attack.upgrade(bearer(attack.tokens.viewer))].join(' ')
    },
  },
  {
    it: 'the answer 429 says when to come again',
    expect: 'within a minute',
    async send(attack) {
      for (let i = 0; i < 5; i++) await attack.upgrade(bearer(formatToken('0000000000', 'c'.repeat(43))))
      const client = attack.bytes(upgradeRequest(bearer(attack.tokens.viewer)))
      await attack.answered(client)
      const seconds = Number(client.header('Retry-After'))
      return client.status === 429 && seconds > 0 && seconds <= 60
        ? 'within a minute'
        : `${client.status} ${seconds}`
    },
  },
  {
    it: 'failures of one address do not bar another',
    expect: '101',
    async send(attack) {
      for (let i = 0; i < 6; i++) await attack.upgrade(bearer(formatToken('0000000000', 'd'.repeat(43))))
      return await attack.upgrade(bearer(attack.tokens.viewer), undefined, '127.9.9.9')
    },
  },
  {
    it: 'failures do not bar an address that has a live session',
    expect: '101',
    async send(attack) {
      await attack.session(attack.tokens.viewer)
      for (let i = 0; i < 6; i++) await attack.upgrade(bearer(formatToken('0000000000', 'e'.repeat(43))))
      return await attack.upgrade(bearer(attack.tokens.viewer))
    },
  },
  {
    it: 'a header of a proxy that nobody trusts does not make another address',
    expect: '429',
    async send(attack) {
      for (let i = 0; i < 5; i++)
        await attack.upgrade({
          ...bearer(formatToken('0000000000', 'f'.repeat(43))),
          'X-Forwarded-For': `10.0.0.${i}`,
        })
      return await attack.upgrade({ ...bearer(attack.tokens.viewer), 'X-Forwarded-For': '10.0.0.9' })
    },
  },
  {
    it: 'twenty bad forms do not count as failures',
    expect: '101',
    async send(attack) {
      for (let i = 0; i < 20; i++) await attack.upgrade({ Authorization: `Bearer nonsense-${i}` })
      return await attack.upgrade(bearer(attack.tokens.viewer))
    },
  },
  {
    it: 'the seventeenth session of a token',
    expect: '16 sessions, then 503',
    async send(attack) {
      const wires = []
      for (let i = 0; i < 16; i++) wires.push(await attack.session(attack.tokens.reader))
      const status = await attack.upgrade(bearer(attack.tokens.reader))
      return `${wires.filter(({ isEnded }) => !isEnded).length} sessions, then ${status}`
    },
  },
]
