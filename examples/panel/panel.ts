// A panel as small as it can be: takes agents that dial out, prints their events, sends them what is typed.
// How to run it: docs/panel.md. State is one JSON file, of secrets it holds the panel's own key alone.
import { createHash, generateKeyPairSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer as createPlainServer } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import {
  type AcceptedAgent,
  type AgentClaim,
  acceptAgent,
  type MethodName,
  PANEL_SUBPROTOCOL,
  type ParamsOf,
  type Position,
} from 'supervisor-agent/client'
import { type WebSocket, WebSocketServer } from 'ws'

const { values: options } = parseArgs({
  options: {
    data: { type: 'string', default: 'panel-data' },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '8443' },
    /** Certificate and key, PEM. Without them it is ws://, for agents on this host alone. */
    cert: { type: 'string' },
    key: { type: 'string' },
  },
})

/** What is kept: never a credential or a join token, only their hashes. */
interface State {
  key: string
  joins: { hash: string; expiresAt: number }[]
  agents: { id: string; hash: string; name: string; joinedAt: string }[]
}

const HOUR_MS = 3_600_000
const file = join(options.data, 'panel.json')
mkdirSync(options.data, { recursive: true, mode: 0o700 })
const state: State = existsSync(file)
  ? (JSON.parse(readFileSync(file, 'utf8')) as State)
  : { key: newKey(), joins: [], agents: [] }
save()

/** Agents that are connected, by the id of their credential. */
const connected = new Map<string, AcceptedAgent & { socket: WebSocket }>()
/** The last event of each, so that a link that comes back goes on where it broke. */
const positions = new Map<string, Position>()

function newKey(): string {
  return String(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }))
}

function save(): void {
  writeFileSync(`${file}.tmp`, JSON.stringify(state, null, 2), { mode: 0o600, flush: true })
  renameSync(`${file}.tmp`, file)
}

function say(word: string, agent: string, text: unknown = ''): void {
  process.stdout.write(`${word} ${agent} ${typeof text === 'string' ? text : JSON.stringify(text)}\n`)
}

function isSame(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Takes a new agent for a join token that was given out within the hour and not used before. */
function admit({ id, hash, agent }: AgentClaim, joinToken: string): boolean {
  const used = sha256(joinToken)
  const isGood = state.joins.some((given) => isSame(given.hash, used) && given.expiresAt > Date.now())
  const isTaken = state.agents.some((known) => known.id === id)
  if (!isGood || isTaken) return false
  state.joins = state.joins.filter((given) => given.hash !== used && given.expiresAt > Date.now())
  state.agents.push({ id, hash, name: agent, joinedAt: new Date().toISOString() })
  save()
  say('joined', agent)
  return true
}

function knows({ id, hash }: AgentClaim): boolean {
  return state.agents.some((known) => known.id === id && isSame(known.hash, hash))
}

async function welcome(socket: WebSocket): Promise<void> {
  const accepted = await acceptAgent(socket, { key: state.key, login: knows, join: admit })
  const { id, agent: name, client } = accepted
  connected.get(id)?.socket.close(1000, 'a newer connection took its place')
  connected.set(id, { ...accepted, socket })
  follow(accepted).catch((error: unknown) => say('ended', name, String(error)))
  say('up', name, client.hello)
  client.onState((_state, reason) => {
    if (connected.get(id)?.client === client) connected.delete(id)
    say('down', name, reason?.message)
  })
}

async function follow({ id, agent: name, client }: AcceptedAgent): Promise<void> {
  const since = positions.get(id)
  for await (const item of client.events(since ? { since } : {})) {
    if (item.kind !== 'gap') positions.set(id, { epoch: item.epoch, seq: item.seq })
    say(item.kind, name, item)
  }
}

/** What is typed: `join`, `list`, `call AGENT METHOD [PARAMS]`, `revoke AGENT`. */
async function command(line: string): Promise<void> {
  const [verb, name = '', method = '', ...rest] = line.trim().split(/\s+/)
  if (verb === 'join') {
    const token = `agj_${randomBytes(32).toString('base64url')}`
    state.joins.push({ hash: sha256(token), expiresAt: Date.now() + HOUR_MS })
    save()
    return say('token', token)
  }
  if (verb === 'list') {
    for (const agent of state.agents)
      say('agent', agent.name, { ...agent, hash: undefined, connected: connected.has(agent.id) })
    return say('end', 'list')
  }
  const agent = state.agents.find((known) => known.name === name)
  const online = agent && connected.get(agent.id)
  if (verb === 'revoke' && agent) {
    state.agents = state.agents.filter((known) => known !== agent)
    save()
    online?.socket.close(4401, 'credential revoked')
    return say('revoked', name)
  }
  if (verb !== 'call' || !online) return say('error', name, 'there is no such command, or no such agent')
  const params = JSON.parse(rest.join(' ') || '{}') as ParamsOf<MethodName>
  say('result', name, await online.client.call(method as MethodName, params, { timeoutMs: 60_000 }))
}

const { cert, key } = options
const server =
  cert && key
    ? createServer({ cert: readFileSync(cert), key: readFileSync(key), minVersion: 'TLSv1.3' })
    : createPlainServer()
const sockets = new WebSocketServer({
  server,
  path: '/agents',
  perMessageDeflate: false,
  maxPayload: 2 * 1024 * 1024,
  handleProtocols: (offered) => offered.has(PANEL_SUBPROTOCOL) && PANEL_SUBPROTOCOL,
})
sockets.on('connection', (socket) => {
  welcome(socket).catch((error: unknown) => say('refused', 'agent', String(error)))
})
server.listen(Number(options.port), options.host, () => {
  const { port } = server.address() as AddressInfo
  say('listening', `${cert ? 'wss' : 'ws'}://${options.host}:${port}/agents`)
})
createInterface({ input: process.stdin }).on('line', (line) => {
  command(line).catch((error: unknown) => say('error', 'command', String(error)))
})
