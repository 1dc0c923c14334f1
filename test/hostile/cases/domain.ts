import type { Case } from '../attack.ts'
import type { Tokens } from '../target.ts'

const PARAMS = 'INVALID_PARAMS -32602'
const FORBIDDEN = 'FORBIDDEN 1001'
const DENIED = 'POLICY_DENIED 1002'
const NOT_FOUND = 'PROCESS_NOT_FOUND 1010'
const NO_LOG = 'LOG_UNAVAILABLE 1015'
const NO_PROGRAM = 'PROGRAM_INVALID 1021'
const NO_ENTRY = 'ENTRY_INVALID 1031'

interface Row {
  it: string
  /** Default: the admin's, so that nothing but the parameters is wrong. */
  as?: keyof Tokens
  method: string
  params: Record<string, unknown>
  /** Sent without a key. */
  isKeyless?: true
  expect: string
}

const name = (it: string, text: string, expect = PARAMS): Row => ({
  it: `a name ${it}`,
  method: 'process.restart',
  params: { select: [text] },
  expect,
})
const tail = (it: string, params: Record<string, unknown>, expect = PARAMS): Row => ({
  it: `tail ${it}`,
  method: 'log.tail',
  params,
  isKeyless: true,
  expect,
})

const program = (it: string, definition: object): Row => ({
  it: `a program with ${it}`,
  method: 'program.put',
  params: { definition: { name: 'evil', command: '/bin/sleep 600', ...definition } },
  expect: NO_PROGRAM,
})
const entry = (it: string, fields: object): Row => ({
  it: `a crontab entry with ${it}`,
  method: 'crontab.put',
  params: { entry: { name: 'evil', user: 'nobody', schedule: '0 4 * * *', command: 'true', ...fields } },
  expect: NO_ENTRY,
})
/** A variable whose name would be a second line. */
const TWO_LINES = { 'A="x"\nB': 'y' }

const rows: Row[] = [
  program('LF in its command', { command: '/bin/sleep 600\n[program:more]\ncommand=/bin/sh' }),
  program('CR in its command', { command: '/bin/sleep 600\ruser=root' }),
  program('NUL in its command', { command: '/bin/sleep\0 600' }),
  program('U+2028 in its command', { command: '/bin/sleep 600\u2028user=root' }),
  program('a lone surrogate in its command', { command: '/bin/sleep \ud800' }),
  program('two lines in the name of a variable', { environment: TWO_LINES }),
  program('two lines in the value of a variable', { environment: { A: 'x"\nuser=root' } }),
  // LF and U+2028 are nothing special there: the first makes it a script
  entry('CR in its command', { command: 'true\r* * * * * root' }),
  entry('NUL in its command', { command: 'true\0* * * * * sh' }),
  entry('a lone surrogate in its command', { command: 'true \ud800' }),
  entry('two lines in the name of a variable', { env: TWO_LINES }),
  entry('two lines in the value of a variable', { env: { A: 'x\n* * * * * sh' } }),
  name('that opens a section of a config', 'a]\n[program:evil'),
  name('with LF', 'web\n'),
  name('with CR', 'we\rb'),
  name('with NUL', 'web\0'),
  name('with U+2028', 'we\u2028b'),
  name('with a lone surrogate', 'web\ud800'),
  name('with an escape of a terminal', '\u001b[31mweb'),
  name('with a C1 control', 'we\u009bb'),
  name('with a space', 'we b'),
  name('with markup', '<methodCall>'),
  name('with an entity', '&xxe;'),
  name('with the end of CDATA', 'a]]>b'),
  name('of 256 characters', 'w'.repeat(256)),
  name('that is empty', ''),
  name('with a semicolon and a command', 'web;reboot', NOT_FOUND),
  name('with a substitution', '$(reboot)', NOT_FOUND),
  name('with an expansion of supervisord', '%(ENV_HOME)s', NOT_FOUND),
  name('that climbs', '../../etc/shadow', NOT_FOUND),
  name('of a property', '__proto__', NOT_FOUND),
  name('of the agent itself', 'supervisor-agent', NOT_FOUND),
  name('of the group of the agent itself', 'supervisor-agent:*', NOT_FOUND),
  name('that nobody has', 'nobody', NOT_FOUND),
  { it: 'no name at all', method: 'process.stop', params: { select: [] }, expect: PARAMS },
  { it: 'no selection', method: 'process.stop', params: {}, expect: PARAMS },
  { it: 'a selection as text', method: 'process.stop', params: { select: 'all' }, expect: PARAMS },
  { it: '1001 names', method: 'process.stop', params: { select: Array(1001).fill('db') }, expect: PARAMS },
  {
    it: 'a good name and an unknown one',
    method: 'process.stop',
    params: { select: ['db', 'nobody'] },
    expect: NOT_FOUND,
  },
  tail('of a path', { process: '../../etc/shadow' }, NOT_FOUND),
  tail('with a path beside the name', { process: 'web', path: '/etc/shadow' }),
  tail('of a channel that climbs', { process: 'web', channel: '../x' }),
  tail('at an offset', { process: 'web', offset: -5 }),
  tail('of 1e9 bytes', { process: 'web', bytes: 1e9 }),
  tail('of -1 bytes', { process: 'web', bytes: -1 }),
  tail('of 1.5 lines', { process: 'web', lines: 1.5 }),
  tail('of 1e300 lines', { process: 'web', lines: 1e300 }),
  tail('from a cursor of somebody else', { process: 'web', cursor: 'c1.AAAA' }),
  tail('from a cursor that is a path', { process: 'web', cursor: '/etc/shadow:0' }),
  tail('from a cursor of 10 KiB', { process: 'web', cursor: 'c'.repeat(10_240) }),
  tail('of a process without a log', { process: 'silent' }, NO_LOG),
  tail('of all', { process: 'all' }),
  {
    it: 'a restart without a key',
    method: 'process.restart',
    params: { select: ['db'] },
    isKeyless: true,
    expect: PARAMS,
  },
  ...['short', 'a'.repeat(65), 'with space', 'line\nfeed8', '../../../x', 'käse-käse', ''].map((key) => ({
    it: `the key ${JSON.stringify(key).slice(0, 20)}`,
    method: 'process.restart',
    params: { select: ['db'], idempotencyKey: key },
    isKeyless: true as const,
    expect: PARAMS,
  })),
  {
    it: 'a key that is a number',
    method: 'process.stop',
    params: { select: ['db'], idempotencyKey: 12345678 },
    isKeyless: true,
    expect: PARAMS,
  },
  { it: 'a key for a reading method', method: 'process.list', params: {}, expect: PARAMS },
  {
    it: 'an unknown mode',
    method: 'process.restart',
    params: { select: ['db'], mode: 'nuclear' },
    expect: PARAMS,
  },
  {
    it: 'a wait of no time',
    method: 'process.restart',
    params: { select: ['db'], timeoutMs: 0 },
    expect: PARAMS,
  },
  {
    it: 'a wait of a year',
    method: 'process.restart',
    params: { select: ['db'], timeoutMs: 3e10 },
    expect: PARAMS,
  },
  {
    it: 'none unavailable',
    method: 'process.restart',
    params: { select: ['db'], maxUnavailable: 0 },
    expect: PARAMS,
  },
  ...['KILL; reboot', 'sigkill', '-9', '0', '999', 9, null].map((signal) => ({
    it: `the signal ${signal}`,
    method: 'process.signal',
    params: { select: ['db'], signal },
    expect: PARAMS,
  })),
  {
    it: 'stdin, which the policy forbids',
    method: 'process.stdin',
    params: { process: 'db', text: 'x' },
    expect: DENIED,
  },
  {
    it: 'stdin of 65 537 characters',
    method: 'process.stdin',
    params: { process: 'db', text: 'x'.repeat(65_537) },
    expect: PARAMS,
  },
  { it: 'the end of supervisord', method: 'supervisor.shutdown', params: {}, expect: DENIED },
  { it: 'a restart of supervisord', method: 'supervisor.restart', params: {}, expect: DENIED },
  {
    it: 'a token from afar',
    method: 'token.create',
    params: { name: 'mine', role: 'viewer' },
    expect: DENIED,
  },
  {
    it: 'a rotation of another token from afar',
    method: 'token.rotate',
    params: { token: 'viewer' },
    expect: DENIED,
  },
  {
    it: 'a token with a bad name',
    method: 'token.create',
    params: { name: '../x', role: 'viewer' },
    expect: PARAMS,
  },
  {
    it: 'a token of an unknown role',
    method: 'token.create',
    params: { name: 'mine', role: 'root' },
    expect: PARAMS,
  },
  {
    it: 'a token that ends in words',
    method: 'token.create',
    params: { name: 'mine', role: 'viewer', expiresAt: 'tomorrow' },
    expect: PARAMS,
  },
  {
    it: 'log bytes without end',
    method: 'supervisor.log',
    params: { bytes: 1e9 },
    isKeyless: true,
    expect: PARAMS,
  },
  { it: 'an update of no groups named', method: 'supervisor.update', params: {}, expect: PARAMS },
  {
    it: 'an update of a group that is none',
    method: 'supervisor.update',
    params: { groups: ['a]\n[x'] },
    expect: PARAMS,
  },
  {
    it: 'a subscription to a wrong position',
    method: 'event.subscribe',
    params: { since: { epoch: 'x', seq: -1 } },
    isKeyless: true,
    expect: PARAMS,
  },
  {
    it: 'a subscription to 33 types',
    method: 'event.subscribe',
    params: { types: Array(33).fill('*') },
    isKeyless: true,
    expect: PARAMS,
  },
  {
    it: 'a cancellation of an object',
    method: 'rpc.cancel',
    params: { id: {} },
    isKeyless: true,
    expect: PARAMS,
  },
  {
    it: 'a restart by a viewer',
    as: 'viewer',
    method: 'process.restart',
    params: { select: ['db'] },
    expect: FORBIDDEN,
  },
  {
    it: 'a restart by a viewer, wrong in form too',
    as: 'viewer',
    method: 'process.restart',
    params: { x: 1 },
    expect: FORBIDDEN,
  },
  {
    it: 'a log by one who may not read logs',
    as: 'reader',
    method: 'log.tail',
    params: { process: 'web' },
    isKeyless: true,
    expect: FORBIDDEN,
  },
  {
    it: 'a stream of logs by one who may not',
    as: 'reader',
    method: 'log.follow',
    params: { select: ['web'] },
    isKeyless: true,
    expect: FORBIDDEN,
  },
  {
    it: 'tokens by an operator',
    as: 'operator',
    method: 'token.list',
    params: {},
    isKeyless: true,
    expect: FORBIDDEN,
  },
  {
    it: 'a reread by an operator',
    as: 'operator',
    method: 'supervisor.reread',
    params: {},
    expect: FORBIDDEN,
  },
  {
    it: 'a restart of db by a token of web-*',
    as: 'narrow',
    method: 'process.restart',
    params: { select: ['db'] },
    expect: FORBIDDEN,
  },
  {
    it: 'a restart of xweb-1 by a token of web-*',
    as: 'narrow',
    method: 'process.restart',
    params: { select: ['xweb-1'] },
    expect: FORBIDDEN,
  },
  {
    it: 'a log of db by a token of web-*',
    as: 'narrow',
    method: 'log.tail',
    params: { process: 'db' },
    isKeyless: true,
    expect: FORBIDDEN,
  },
  {
    it: "supervisord's log by a token of web-*",
    as: 'narrow',
    method: 'supervisor.log',
    params: {},
    isKeyless: true,
    expect: FORBIDDEN,
  },
  {
    it: "supervisord's paths by a token of web-*",
    as: 'narrow',
    method: 'supervisor.info',
    params: {},
    isKeyless: true,
    expect: FORBIDDEN,
  },
]

export const domain: Case[] = rows.map(
  ({ as = 'admin', method, params, isKeyless, ...row }): Case => ({
    ...row,
    send: async (attack) =>
      await attack.call(attack.tokens[as], method, {
        ...(isKeyless ? {} : { idempotencyKey: attack.key() }),
        ...params,
      }),
  }),
)
