import { createHash } from 'node:crypto'
import { AgentError } from '../../protocol/errors.ts'
import type { Principal } from './principal.ts'

/** The host's own rules that bear on calls; the keys of `policy:` in the config. */
export interface PolicyRules {
  readOnly: boolean
  allowStdin: boolean
  allowSupervisorShutdown: boolean
  allowRemoteTokens: boolean
  allowRemoteProgram: boolean
  allowRemoteCron: boolean
}

/** Judges what a principal may make this host do. It stands above every token; only admin.sock stands above it. */
export class Policy {
  readonly digest: string
  readonly #rules: PolicyRules

  /** @param rules the whole `policy:` section; the digest covers all of it */
  constructor(rules: PolicyRules) {
    this.#rules = rules
    this.digest = createHash('sha256').update(JSON.stringify(rules)).digest('hex').slice(0, 16)
  }

  /** @throws {AgentError} POLICY_DENIED while the host is read-only */
  assertWritable(principal: Principal, method: string): void {
    if (this.#rules.readOnly)
      this.#deny(
        principal,
        'readOnly',
        `${method} changes something, and the policy of this host is read-only`,
      )
  }

  /** @throws {AgentError} POLICY_DENIED unless that switch is on */
  assertAllowed(principal: Principal, rule: Exclude<keyof PolicyRules, 'readOnly'>): void {
    if (!this.#rules[rule]) this.#deny(principal, rule, `policy.${rule} is off on this host`)
  }

  #deny(principal: Principal, rule: keyof PolicyRules, message: string): void {
    if (principal.isAbovePolicy) return
    throw new AgentError('POLICY_DENIED', message, { facts: { rule: `policy.${rule}` } })
  }
}
