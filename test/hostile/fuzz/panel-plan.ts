// What a hostile panel says on one connection, before it has proved itself and after.
import * as fc from 'fast-check'
import { panelFrame } from '../../../src/protocol/panel.ts'
import { CORPUS } from './corpus.ts'
import { type Envelope, envelopes, type Mutate, messages, mostly, mutation } from './mutation.ts'

export const JOIN = 'agj_a-join-token-for-later'
export const WELCOME = panelFrame('panel.welcome', {})
/** What a panel and an agent say to each other before a session, to cut and to glue. */
export const HANDSHAKE = [
  panelFrame('panel.challenge', { protocol: 1, nonce: 'A'.repeat(43) }),
  panelFrame('panel.proof', { publicKey: 'A'.repeat(43), signature: 'A'.repeat(86) }),
  panelFrame('panel.join', {
    agent: 'web-1',
    version: '1.0.0',
    joinToken: JOIN,
    id: 'A'.repeat(10),
    hash: '0'.repeat(64),
  }),
  WELCOME,
]

/** What the panel says on one connection. */
export interface Plan {
  before: Envelope[]
  /** Whose proof it gives, of what, and what becomes of that. */
  lie: 'none' | 'another key' | 'another nonce'
  proof: Mutate
  between: Envelope[]
  /** In place of the welcome: `refuse`, or what becomes of it. */
  welcome: 'refuse' | Mutate
  session: Envelope[]
  /** Somebody has put a join token there. */
  hasJoinToken: boolean
}

const same: Mutate = (bytes) => bytes
const whole = fc.constantFrom(...HANDSHAKE).map((text) => Buffer.from(text))
const said = envelopes(fc.oneof(whole, messages(HANDSHAKE), messages(CORPUS)), { isMasked: false })
const some = mostly<Envelope[]>([], fc.array(said, { minLength: 1, maxLength: 3 }), 4)
const changed = mutation(HANDSHAKE)

export const plan: fc.Arbitrary<Plan> = fc.record({
  before: some,
  lie: fc.oneof(
    { weight: 8, arbitrary: fc.constant('none' as const) },
    { weight: 1, arbitrary: fc.constantFrom('another key' as const, 'another nonce' as const) },
  ),
  proof: mostly(same, changed, 3),
  between: some,
  welcome: fc.oneof(
    { weight: 6, arbitrary: fc.constant(same) },
    { weight: 2, arbitrary: changed },
    { weight: 1, arbitrary: fc.constant('refuse' as const) },
  ),
  session: fc.array(envelopes(messages(CORPUS), { isMasked: false }), { maxLength: 30 }),
  hasJoinToken: mostly(false, fc.constant(true), 4),
})

export function framesOf({ before, between, session }: Plan): Buffer[] {
  return [...before, ...between, ...session].map(({ payload }) => payload)
}

/** Every rule is kept. */
export const HONEST: Plan = {
  before: [],
  lie: 'none',
  proof: same,
  between: [],
  welcome: same,
  session: [],
  hasJoinToken: false,
}
