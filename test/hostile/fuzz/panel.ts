// A hostile panel: the agent dials it again and again, and it says what is nearly right, before it has proved itself and
// after. Whether the agent may answer is judged here by what was said.
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  PANEL_SUBPROTOCOL,
  type PanelMessage,
  panelFrame,
  proofText,
  readPanelFrame,
} from '../../../src/protocol/panel.ts'
import { newKey, proof } from '../../core/panel/support.ts'
import { until } from '../../fixtures/wait.ts'
import { frame, RawClient } from '../../transports/support.ts'
import { Wire, wordOf } from '../wire.ts'
import { LAST_ANSWER, LAST_CALL } from './corpus.ts'
import { type Envelope, wireOf } from './mutation.ts'
import { HANDSHAKE, HONEST, JOIN, type Plan, WELCOME } from './panel-plan.ts'

const LOOKS = 30
const REFUSAL = Buffer.concat([Buffer.from([0x11, 0x31]), Buffer.from('credential revoked')])
/** Delays before another attempt are drawn; this one draws none. */
const AT_ONCE = 'Math.random = () => 0\n'

/** A connection of the agent, seen from the panel. */
class Visit extends RawClient {
  isEnded = false

  constructor(socket: Socket) {
    super(socket)
    void this.ended.then(() => (this.isEnded = true))
    socket.setNoDelay(true)
  }

  /** Text frames of the agent. */
  texts(): string[] {
    if (!this.bytes.includes('\r\n\r\n')) return []
    return this.frames().flatMap(({ opcode, payload }) => (opcode === 1 ? [payload.toString()] : []))
  }

  get isOver(): boolean {
    return this.isEnded || this.closeCode !== undefined
  }
}

export class HostilePanel {
  readonly #key: KeyObject = newKey()
  readonly #folder = mkdtempSync(join(tmpdir(), 'hp-'))
  readonly #server: Server
  readonly #visits: Visit[] = []

  private constructor() {
    this.#server = createServer((socket) => this.#accept(new Visit(socket)))
    this.#giveJoinToken()
  }

  static async start(t: { teardown(task: () => unknown): void }): Promise<HostilePanel> {
    const panel = new HostilePanel()
    t.teardown(() => panel.#end())
    await once(panel.#server.listen(0, '127.0.0.1'), 'listening')
    return panel
  }

  /** What the agent needs to come, and to come back at once. */
  get agent(): { config: string; env: Record<string, string> } {
    const { port } = this.#server.address() as AddressInfo
    const [tokenFile, joinTokenFile] = ['credential', 'join'].map((name) => join(this.#folder, name))
    const script = join(this.#folder, 'at-once.cjs')
    writeFileSync(script, AT_ONCE)
    return {
      config: `panel: { url: 'ws://127.0.0.1:${port}/', tokenFile: ${tokenFile}, joinTokenFile: ${joinTokenFile} }`,
      env: { NODE_OPTIONS: `--require=${script}` },
    }
  }

  /**
   * Says all of it to the next connection.
   * @returns the agent's answers in words
   * @throws {Error} when the agent showed itself, or served, though the panel had not proved itself
   */
  async hold(one: Plan): Promise<string[]> {
    if (one.hasJoinToken) this.#giveJoinToken()
    const visit = await this.#next()
    try {
      return await this.#speak(visit, one)
    } finally {
      visit.socket.destroy()
    }
  }

  /** Keeps every rule, and is served: nothing that was said before has locked it out. @returns as {@link hold} */
  async keepRules(): Promise<string[]> {
    return await until(async () => {
      const words = await this.hold(HONEST)
      return words.includes('ok') ? words : null
    }, 'a panel that keeps the rules to be served')
  }

  async #speak(visit: Visit, one: Plan): Promise<string[]> {
    const challenge = await until(() => visit.texts()[0] ?? (visit.isOver ? 'none' : ''), 'a challenge')
    const nonce = readPanelFrame(challenge, 'panel.challenge')?.params.nonce
    if (nonce === undefined) return ['no challenge']
    const proven = one.proof(Buffer.from(panelFrame('panel.proof', this.#proof(one.lie, challenge))))
    const first = [...one.before, textOf(proven), ...one.between]
    visit.socket.write(Buffer.concat(first.map(wireOf)))
    await settled(visit, first, () => visit.texts().length > 1)
    const begun = first.filter((envelope) => !isControl(envelope))
    const mayShow = begun[0]?.payload === proven && isProof(proven, nonce)
    if (!mayShow && visit.texts().length > 1) throw new Error('it showed itself to who had proved nothing')
    if (visit.texts().length < 2) return ['nothing shown']

    const welcome = one.welcome === 'refuse' ? null : one.welcome(Buffer.from(WELCOME))
    visit.socket.write(welcome === null ? frame(8, REFUSAL, { masked: false }) : wireOf(textOf(welcome)))
    visit.socket.write(Buffer.concat([...one.session, textOf(Buffer.from(LAST_CALL))].map(wireOf)))
    await settled(visit, one.session, () => visit.texts().some((text) => text.includes(LAST_ANSWER)))
    const served = visit.texts().slice(2)
    const mayServe =
      mayShow && begun.length === 1 && readPanelFrame(String(welcome), 'panel.welcome') !== null
    if (!mayServe && served.length > 0) throw new Error('it served who was not to be served')
    return served.length === 0 ? ['shown'] : Wire.repliesOf(served.join('\n')).map(wordOf)
  }

  #proof(lie: Plan['lie'], challenge: string): PanelMessage<'panel.proof'> {
    const right = proof(challenge, this.#key)
    if (lie === 'none') return right
    const wrong = lie === 'another key' ? proof(challenge, newKey()) : proof(HANDSHAKE[0] ?? '', this.#key)
    return { ...wrong, publicKey: right.publicKey }
  }

  #accept(visit: Visit): void {
    visit.socket.once('data', () => {
      const key = visit.header('sec-websocket-key') ?? ''
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
      const lines = [
        'HTTP/1.1 101 Switching Protocols',
        'Upgrade: websocket',
        'Connection: Upgrade',
        `Sec-WebSocket-Accept: ${accept}`,
        `Sec-WebSocket-Protocol: ${PANEL_SUBPROTOCOL}`,
      ]
      visit.socket.write(`${lines.join('\r\n')}\r\n\r\n`)
      this.#visits.push(visit)
    })
  }

  async #next(): Promise<Visit> {
    return await until(() => this.#visits.splice(0).findLast(({ isOver }) => !isOver), 'the agent to come')
  }

  #giveJoinToken(): void {
    writeFileSync(join(this.#folder, 'join'), JOIN, { mode: 0o600 })
  }

  #end(): void {
    this.#server.close()
    for (const { socket } of this.#visits) socket.destroy()
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** The connection ended, or what was waited for came, or the agent is waiting for the rest of a frame. */
async function settled(visit: Visit, sent: readonly Envelope[], isThere: () => boolean): Promise<void> {
  const mayWait = sent.some(({ claims }) => claims !== null)
  let looks = 0
  await until(
    () => visit.isOver || isThere() || (mayWait && ++looks > LOOKS),
    'the agent to answer or to end it',
  )
}

function textOf(payload: Buffer): Envelope {
  return { payload, opcode: 1, fin: true, reserved: 0, masked: false, claims: null }
}

/** A ping or a pong, which are no messages. */
function isControl({ payload, opcode, fin, reserved, masked, claims }: Envelope): boolean {
  const isWhole = fin && reserved === 0 && !masked && payload.length < 126
  return (
    (opcode === 9 || opcode === 10) &&
    isWhole &&
    (claims ?? BigInt(payload.length)) === BigInt(payload.length)
  )
}

/** Whether it proves, by the rules of docs/panel.md, that somebody has the key that it names. */
function isProof(payload: Buffer, nonce: string): boolean {
  const shown = readPanelFrame(payload.toString(), 'panel.proof')
  if (!shown) return false
  const { publicKey, signature } = shown.params
  try {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' })
    return verify(null, Buffer.from(proofText(nonce)), key, Buffer.from(signature, 'base64url'))
  } catch {
    return false // no point of the curve
  }
}
