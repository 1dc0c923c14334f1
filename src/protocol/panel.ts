// How an agent that dials out and a panel prove themselves to each other, before the first `hello`. Each message is a
// notification; no other frame is taken meanwhile.
import * as z from 'zod'
import { TOKEN_PATTERN } from './token.ts'

/** Named by the agent in the upgrade, and given back by the panel. */
export const PANEL_SUBPROTOCOL = 'supervisor-agent.panel.v1'
/** Longest frame of the handshake, in characters. */
export const PANEL_FRAME_MAX = 4096
/** What the panel signs starts with this, so that no signature made for anything else fits. */
const PROOF_CONTEXT = 'supervisor-agent panel proof v1'

/** 32 bytes. The bits of the last character that belong to none are zero, so that no bytes have two texts. */
const Bytes32 = z.string().regex(/^[\w-]{42}[AEIMQUYcgkosw048]$/, '32 bytes in base64url')
/** An Ed25519 public key: its 32 bytes, as in `x` of a JWK. */
export const PanelKey = Bytes32
/** What a panel gives out for one agent to join with. */
export const JoinToken = z.string().regex(/^[\x21-\x7e]{16,256}$/, '16 to 256 printable characters')

const Agent = { agent: z.string().min(1).max(64), version: z.string().min(1).max(64) }

/** Every message of the handshake. The key is the name on the wire. */
export const PANEL_MESSAGES = {
  /** Agent, first: sign this. */
  'panel.challenge': z.strictObject({ protocol: z.literal(1), nonce: Bytes32 }),
  /** Panel: its key, and the signature of {@link proofText}. */
  'panel.proof': z.strictObject({
    publicKey: PanelKey,
    signature: z.string().regex(/^[\w-]{85}[AQgw]$/, '64 bytes in base64url'),
  }),
  /** Agent, the first time: takes the credential with that id and hash for the join token. */
  'panel.join': z.strictObject({
    ...Agent,
    joinToken: JoinToken,
    id: z.string().regex(/^[0-9A-Za-z]{10}$/),
    hash: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .describe('SHA-256 of the credential, hex'),
  }),
  /** Agent, from then on. */
  'panel.login': z.strictObject({ ...Agent, token: z.string().regex(TOKEN_PATTERN) }),
  /** Panel, last: the agent's `hello` follows, and the session has begun. */
  'panel.welcome': z.strictObject({}),
} as const

export type PanelMessageName = keyof typeof PANEL_MESSAGES
export type PanelMessage<N extends PanelMessageName> = z.output<(typeof PANEL_MESSAGES)[N]>

/** The text whose UTF-8 bytes the panel signs. */
export function proofText(nonce: string): string {
  return `${PROOF_CONTEXT}\n${nonce}`
}

export function panelFrame<N extends PanelMessageName>(method: N, params: PanelMessage<N>): string {
  return JSON.stringify({ jsonrpc: '2.0', method, params })
}

/**
 * Reads the one message that may come now.
 * @returns null for anything else
 */
export function readPanelFrame<N extends PanelMessageName>(
  text: string,
  ...names: readonly N[]
): { [M in N]: { method: M; params: PanelMessage<M> } }[N] | null {
  if (text.length > PANEL_FRAME_MAX) return null
  const frame = Frame.safeParse(parsed(text))
  const method = names.find((name) => name === frame.data?.method)
  if (!frame.success || method === undefined) return null
  const params = PANEL_MESSAGES[method].safeParse(frame.data.params)
  return params.success
    ? ({ method, params: params.data } as { [M in N]: { method: M; params: PanelMessage<M> } }[N])
    : null
}

const Frame = z.strictObject({ jsonrpc: z.literal('2.0'), method: z.string(), params: z.unknown() })

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
