import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Hello, ListenerEvent } from '../../../src/core/supervisor/listener-frames.ts'
import type { PoolGap } from '../../../src/core/supervisor/listener-sequence.ts'
import { ListenerServer, type ListenerServerDeps } from '../../../src/core/supervisor/listener-server.ts'
import { createLogger } from '../../../src/logger.ts'
import { rpcOf, type TestRpc } from '../../fixtures/rpc.ts'
import { supervisorCommand } from '../../fixtures/supervisor-command.ts'
import { type Settings, Supervisord } from '../../fixtures/supervisord.ts'

export const SHIM = resolve(import.meta.dirname, '../../../assets/event-listener.py')
export const PYTHON = supervisorCommand().python

interface Scope {
  teardown(task: () => unknown): void
}

export function scratch(t: Scope): string {
  const folder = mkdtempSync(join(tmpdir(), 'sl-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function listenerSettings(socketPath: string, more: Settings = {}): Settings {
  return {
    command: `${PYTHON} ${SHIM} ${socketPath}`,
    events: 'PROCESS_STATE,PROCESS_GROUP,SUPERVISOR_STATE_CHANGE,REMOTE_COMMUNICATION',
    buffer_size: 2000,
    priority: -17,
    startsecs: 0,
    autorestart: true,
    stdout_logfile: 'NONE',
    stderr_logfile: `${socketPath}.shim.err`,
    ...more,
  }
}

/** A listener of somebody else: answers at once and notes `serial eventname` of all that it gets. */
export function otherListener(folder: string): Settings {
  const script = join(folder, 'other.py')
  writeFileSync(
    script,
    `import sys
while True:
    sys.stdout.write('READY\\n'); sys.stdout.flush()
    head = sys.stdin.readline()
    if not head: break
    facts = dict(word.split(':', 1) for word in head.split())
    body = sys.stdin.read(int(facts['len']))
    with open('${folder}/other.log', 'a') as log: log.write('%s %s\\n' % (facts['serial'], facts['eventname']))
    sys.stdout.write('RESULT 2\\nOK'); sys.stdout.flush()
`,
  )
  return {
    command: `${PYTHON} ${script}`,
    events: 'PROCESS_STATE,REMOTE_COMMUNICATION',
    buffer_size: 2000,
    startsecs: 0,
    stderr_logfile: `${folder}/other.err`,
  }
}

export function seenByOther(folder: string): string[] {
  return readFileSync(join(folder, 'other.log'), 'utf8').trim().split('\n')
}

export interface Host {
  supervisord: Supervisord
  socketPath: string
  rpc: TestRpc
  /** Sends an event that every listener of remote communication gets. */
  send(body: string): Promise<unknown>
  shimPid(): Promise<number>
}

/** A real supervisord with the shim as its listener; the agent is not there yet. */
export async function hostWithListener(
  t: Scope,
  options: { listener?: Settings; programs?: Record<string, Settings> } = {},
): Promise<Host> {
  const supervisord = new Supervisord({ programs: options.programs ?? {} })
  t.teardown(() => supervisord.stop())
  const socketPath = join(supervisord.folder, 'l.sock')
  supervisord.writeProgram('eventlistener:supervisor-agent', listenerSettings(socketPath, options.listener))
  await supervisord.start()
  const rpc = rpcOf(supervisord.socket)
  return {
    supervisord,
    socketPath,
    rpc,
    send: (body) => rpc.call('supervisor.sendRemoteCommEvent', ['test', body]),
    shimPid: async () => {
      const info = await rpc.call('supervisor.getProcessInfo', ['supervisor-agent:supervisor-agent'])
      return (info as { pid: number }).pid
    },
  }
}

/** A listener server with a memory of all that it was told. */
export class Agent {
  readonly events: ListenerEvent[] = []
  readonly hellos: Hello[] = []
  readonly gaps: PoolGap[] = []
  resets = 0
  disconnections = 0
  readonly server: ListenerServer

  constructor(socketPath: string, more: Partial<ListenerServerDeps> = {}) {
    this.server = new ListenerServer({
      socketPath,
      logger: createLogger('silent'),
      onConnected: (hello) => this.hellos.push(hello),
      onGap: (gap) => this.gaps.push(gap),
      onReset: () => this.resets++,
      onDisconnected: () => this.disconnections++,
      ...more,
      onEvent: async (event, position) => {
        this.events.push(event)
        await more.onEvent?.(event, position)
      },
    })
  }

  /** Bodies of the remote communication events, in order. */
  get bodies(): string[] {
    return this.events.flatMap(({ body }) => (body.kind === 'remote' ? [body.body] : []))
  }

  get poolSerials(): number[] {
    return this.events.map(({ poolSerial }) => poolSerial)
  }
}

export async function agent(
  t: Scope,
  socketPath: string,
  more: Partial<ListenerServerDeps> = {},
): Promise<Agent> {
  const started = new Agent(socketPath, more)
  t.teardown(() => started.server.stop())
  await started.server.start()
  return started
}

export interface RawAgent {
  /** All bytes that the shim sent, of every connection. */
  received(): string
  connections: Socket[]
  close(): Promise<void>
}

/** The agent's side by hand: says what a test wants said. */
export async function rawAgent(
  socketPath: string,
  onConnection: (socket: Socket) => void = () => {},
): Promise<RawAgent> {
  let received = ''
  const connections: Socket[] = []
  const server = createServer((socket) => {
    connections.push(socket)
    socket.on('data', (chunk) => (received += chunk))
    socket.on('error', () => {})
    onConnection(socket)
  })
  await new Promise<void>((done) => server.listen(socketPath, done))
  return {
    received: () => received,
    connections,
    close: async () => {
      const closed = new Promise<void>((done) => server.close(() => done()))
      for (const socket of connections) socket.destroy()
      await closed
    },
  }
}

/** Connects to the agent as a shim would, and says something. */
export function rawShim(socketPath: string, text: string): Socket {
  const socket = connect(socketPath)
  socket.on('error', () => {})
  socket.resume()
  socket.write(text)
  return socket
}

export const HELLO = {
  shim: 1,
  pid: 4242,
  supervisord: 4000,
  started: 77,
  ready: false,
  pending: false,
  cwd: '/',
} as const

export function frame(
  payload: string,
  more: { serial?: number; poolSerial?: number; name?: string } = {},
): string {
  const { serial = 0, poolSerial = serial, name = 'REMOTE_COMMUNICATION' } = more
  const length = Array.from(payload).length
  return `ver:3.0 server:supervisor serial:${serial} pool:supervisor-agent poolserial:${poolSerial} eventname:${name} len:${length}\n${payload}`
}
