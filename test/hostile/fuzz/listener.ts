// What somebody may say on listener.sock who is not the shim: a hello and events that are nearly right.
import { connect } from 'node:net'
import * as fc from 'fast-check'
import { PROCESS_STATES } from '../../../src/protocol/process.ts'
import { until } from '../../fixtures/wait.ts'
import { editing, type Mutate, mostly } from './mutation.ts'

/** One run of supervisord, as a shim names it. */
export interface Run {
  supervisord: number
  started: number | null
}

const GROUPS = ['web', 'worker', 'db', 'nobody', 'supervisor-agent', 'a b groupname:c', '__proto__', '']
const ODD_NUMBERS = ['-1', '007', '999999999999999', '9999999999999999999', '1e3', '', 'NaN', '1.5', '\u0661']
const PAYLOAD_MAX = 3000
/** What the agent may write: supervisord shuts out a listener that speaks out of turn. */
const ANSWERS = /^(?:READY\n)?(?:RESULT 2\nOK(?:READY\n)?)*$/
const LOOKS = 30

const count = (most: number) => fc.nat(most).map(String)
const state = fc.constantFrom(...PROCESS_STATES)
const odd = fc.oneof(fc.constantFrom(...ODD_NUMBERS), count(2 ** 31))

/** Events by name and payload, as supervisord writes them. */
const told: fc.Arbitrary<{ name: string; payload: string }> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({
        group: fc.constantFrom(...GROUPS),
        from: state,
        to: state,
        facts: fc.constantFrom(
          '',
          ' tries:1',
          ' pid:1',
          ' expected:0 pid:99',
          ' pid:7 expected:1',
          ' tries:x',
        ),
      })
      .map(({ group, from, to, facts }) => ({
        name: `PROCESS_STATE_${to}`,
        payload: `processname:${group} groupname:${group} from_state:${from}${facts}`,
      })),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom('ADDED', 'REMOVED'), fc.constantFrom(...GROUPS))
      .map(([what, group]) => ({ name: `PROCESS_GROUP_${what}`, payload: `groupname:${group}\n` })),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('RUNNING', 'STOPPING')
      .map((what) => ({ name: `SUPERVISOR_STATE_CHANGE_${what}`, payload: '' })),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom('supervisor-agent-marker', 'test', ''),
        fc.string({ maxLength: 60, unit: 'binary' }),
      )
      .map(([type, body]) => ({ name: 'REMOTE_COMMUNICATION', payload: `type:${type}\n${body}` })),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      name: fc.constantFrom('TICK_5', 'PROCESS_STATE_', 'toString', 'EVENT'),
      payload: fc.string({ maxLength: PAYLOAD_MAX, unit: 'grapheme' }),
    }),
  },
)

const event = fc
  .record({
    told,
    serial: mostly<string | null>(null, odd, 20),
    poolSerial: mostly<string | null>(null, odd, 20),
    length: mostly<string | null>(null, odd, 20),
    pool: mostly('supervisor-agent', fc.string({ maxLength: 20 }), 20),
    edit: mostly<Mutate | null>(null, editing([]), 8),
  })
  .map(({ told: { name, payload }, serial, poolSerial, length, pool, edit }) => (turn: number) => {
    const points = String(length ?? Array.from(payload).length)
    const numbers = `serial:${serial ?? turn} pool:${pool} poolserial:${poolSerial ?? turn}`
    const bytes = Buffer.from(
      `ver:3.0 server:supervisor ${numbers} eventname:${name} len:${points}\n${payload}`,
    )
    return edit ? edit(bytes) : bytes
  })

const hello = (run: Run) =>
  fc
    .record({
      isOfRun: fc.boolean(),
      ready: fc.boolean(),
      pending: fc.boolean(),
      more: mostly<object>({}, fc.dictionary(fc.constantFrom('shim', 'pid', 'cwd', 'x'), fc.jsonValue()), 8),
      edit: mostly<Mutate | null>(null, editing([]), 8),
    })
    .map(({ isOfRun, ready, pending, more, edit }) => {
      const place = isOfRun ? run : { supervisord: 4000, started: 77 }
      const bytes = Buffer.from(
        `${JSON.stringify({ shim: 1, pid: 4242, ...place, ready, pending, cwd: '/', ...more })}\n`,
      )
      return edit ? edit(bytes) : bytes
    })

/** The hello and the events of one connection. */
export const said = (run: Run): fc.Arbitrary<Buffer[]> =>
  fc
    .tuple(hello(run), fc.array(event, { maxLength: 30 }), fc.nat(3000))
    .map(([first, events, turn]) => [first, ...events.map((make, index) => make(turn + index))])

/**
 * Says it all at once, and waits for the answers, or the end.
 * @returns the agent's words
 * @throws {Error} when it said what a listener may not say
 */
export async function overListener(path: string, parts: Buffer[]): Promise<string[]> {
  const socket = connect(path)
  let answers = ''
  let isEnded = false
  socket.on('error', () => undefined)
  socket.once('close', () => (isEnded = true))
  socket.setEncoding('utf8').on('data', (chunk: string) => (answers += chunk))
  socket.write(Buffer.concat(parts))
  const results = () => answers.split('RESULT').length - 1
  // what claims to be longer than it is waits for the rest of it
  let looks = 0
  await until(() => isEnded || results() >= parts.length - 1 || ++looks > LOOKS, 'the answers')
  socket.destroy()
  if (!ANSWERS.test(answers)) throw new Error(`the listener was told ${JSON.stringify(answers)}`)
  return answers.match(/READY|RESULT/g) ?? []
}
