import t from 'tap'
import { FrameParser, type ListenerEvent } from '../../../src/core/supervisor/listener-frames.ts'
import { parseEventBody } from '../../../src/core/supervisor/listener-payload.ts'
import { frame, HELLO } from './listener-harness.ts'

function parse(chunks: readonly (string | Buffer)[]): ListenerEvent[] {
  const events: ListenerEvent[] = []
  const parser = new FrameParser({ onHello: () => {}, onEvent: (event) => events.push(event) })
  parser.push(Buffer.from(`${JSON.stringify(HELLO)}\n`))
  for (const chunk of chunks) parser.push(Buffer.from(chunk))
  return events
}

await t.test('cuts the stream by code points, wherever the chunks end', async (t) => {
  const payloads = ['', 'plain', 'é', '👍🏽 zwei\n𝒳', '中', 'ends in 👍']
  const bytes = Buffer.from(payloads.map((payload, serial) => frame(payload, { serial })).join(''))
  for (const size of [1, 2, 3, 5, 7, 64, bytes.length]) {
    const chunks: Buffer[] = []
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
    const events = parse(chunks)
    t.same(
      events.map(({ payload }) => payload),
      payloads,
      `in chunks of ${size}`,
    )
  }
})

await t.test('reads a header of an identifier and a pool with spaces', async (t) => {
  const [event] = parse([
    'ver:3.0 server:my pool:x host serial:12 pool:a b poolserial:3 eventname:TICK_5 len:4\nwhen',
  ])
  t.match(event, {
    serial: 12,
    poolSerial: 3,
    pool: 'a b',
    name: 'TICK_5',
    payload: 'when',
    body: { kind: 'other' },
  })
})

await t.test('refuses what supervisord would not send', async (t) => {
  const header = 'ver:3.0 server:s serial:1 pool:p poolserial:1 eventname:X len:'
  const refused = [
    'ver:2.0 server:s serial:1 pool:p poolserial:1 eventname:X len:0\n',
    `${header}-1\n`,
    `${header}1e3\n`,
    `${header}\n`,
    ` ${header}0\n`,
    `${header}0 \n`,
    `${header}1048577\n`,
    'x'.repeat(4097),
    `${'x'.repeat(4097)}\n`,
    Buffer.concat([Buffer.from(`${header}2\n`), Buffer.of(0x80, 0x41)]),
  ]
  for (const bytes of refused)
    t.throws(() => parse([bytes]), { name: 'FrameError' }, String(bytes).slice(0, 70))
})

await t.test('reads payloads', async (t) => {
  const rows: [string, string, object][] = [
    [
      'PROCESS_STATE_STARTING',
      'processname:w_01 groupname:w from_state:STOPPED tries:0',
      { process: 'w_01', group: 'w', from: 'STOPPED', to: 'STARTING', tries: 0 },
    ],
    [
      'PROCESS_STATE_RUNNING',
      'processname:w groupname:w from_state:STARTING pid:12',
      { process: 'w', group: 'w', from: 'STARTING', to: 'RUNNING', pid: 12 },
    ],
    [
      'PROCESS_STATE_EXITED',
      'processname:w groupname:w from_state:RUNNING expected:0 pid:12',
      { to: 'EXITED', expected: false, pid: 12 },
    ],
    [
      'PROCESS_STATE_EXITED',
      'processname:w groupname:w from_state:RUNNING expected:1 pid:12',
      { expected: true },
    ],
    ['PROCESS_STATE_FATAL', 'processname:w groupname:w from_state:BACKOFF', { from: 'BACKOFF', to: 'FATAL' }],
    [
      'PROCESS_STATE_STOPPED',
      'processname:a b groupname:a b from_state:STOPPING pid:0',
      { process: 'a b', group: 'a b', pid: 0 },
    ],
    [
      'PROCESS_STATE_STOPPED',
      'processname:a groupname:b groupname:a groupname:b from_state:STOPPING pid:3',
      { process: 'a groupname:b', group: 'a groupname:b' },
    ],
    [
      'PROCESS_STATE_STOPPED',
      'processname:a pid:9 groupname:g from_state:X from_state:STOPPING pid:3',
      { process: 'a pid:9', group: 'g from_state:X', pid: 3 },
    ],
    ['PROCESS_GROUP_ADDED', 'groupname:my group\n', { kind: 'group-added', group: 'my group' }],
    ['PROCESS_GROUP_REMOVED', 'groupname:g\n', { kind: 'group-removed', group: 'g' }],
    ['SUPERVISOR_STATE_CHANGE_RUNNING', '', { kind: 'supervisor-state', state: 'RUNNING' }],
    ['SUPERVISOR_STATE_CHANGE_STOPPING', '', { kind: 'supervisor-state', state: 'STOPPING' }],
    ['REMOTE_COMMUNICATION', 'type:t:u\nline\nline', { kind: 'remote', type: 't:u', body: 'line\nline' }],
    ['TICK_5', 'when:1', { kind: 'other' }],
    ['PROCESS_STATE_RUNNING', 'processname:w groupname:w from_state:DREAMING pid:12', { kind: 'other' }],
    ['PROCESS_STATE_NEW', 'processname:w groupname:w from_state:RUNNING pid:12', { kind: 'other' }],
    ['PROCESS_STATE_RUNNING', 'garbage', { kind: 'other' }],
    ['PROCESS_GROUP_ADDED', 'garbage', { kind: 'other' }],
  ]
  for (const [name, payload, expected] of rows)
    t.match(parseEventBody(name, payload), expected, `${name} ${payload}`)
})
