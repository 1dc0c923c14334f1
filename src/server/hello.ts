import type { Principal } from '../core/access/principal.ts'
import type { Services } from '../methods/context.ts'
import { PROTOCOL_VERSION } from '../protocol/limits.ts'
import { notification } from './event-frames.ts'
import type { Limits } from './limits.ts'

/** The first frame of a session: who speaks, where its events are, and what the peer may do. */
export function helloFrame(
  { agent, bus, policy }: Pick<Services, 'agent' | 'bus' | 'policy'>,
  principal: Principal,
  limits: Limits,
): Buffer {
  return notification('hello', {
    protocol: PROTOCOL_VERSION,
    agent: agent.name,
    version: agent.version,
    epoch: bus.epoch,
    seq: bus.seq,
    scopes: [...principal.scopes],
    policyDigest: policy.digest,
    limits,
  })
}
