import type { Violation } from '../../protocol/policy.ts'
import type { Principal } from '../access/principal.ts'
import type { Accounts } from './accounts.ts'
import type { Place, PolicyRules, SupervisordFacts } from './subject.ts'

/** A key of the policy section, as `data.rule` names it. */
export type RuleKey = keyof PolicyRules

/** What one judgement works with, and what it has found so far. */
export class Findings {
  readonly rules: PolicyRules
  readonly accounts: Accounts
  readonly principal: Principal
  readonly host: SupervisordFacts
  readonly places: Place[] = []
  readonly notes: string[] = []
  readonly #violations: Violation[] = []
  readonly #file: string
  readonly #about: string

  constructor(deps: {
    rules: PolicyRules
    accounts: Accounts
    principal: Principal
    host: SupervisordFacts
    file: string
    /** Names one of several in the texts. */
    about?: string
  }) {
    this.rules = deps.rules
    this.accounts = deps.accounts
    this.principal = deps.principal
    this.host = deps.host
    this.#file = deps.file
    this.#about = deps.about === undefined ? '' : `${deps.about}: `
  }

  /** The token's rights first, as they are judged first. */
  get violations(): Violation[] {
    const isToken = ({ code }: Violation) => code === 'FORBIDDEN'
    return [...this.#violations.filter(isToken), ...this.#violations.filter((one) => !isToken(one))]
  }

  /** A rule of the policy says no. The text ends with the key and the file to change. */
  deny(rule: RuleKey, what: string, path?: string): void {
    const text = `${this.#about}${what} (policy.${rule} in ${this.#file} decides; a restart of the agent applies a change)`
    this.#violations.push({
      code: 'POLICY_DENIED',
      rule: `policy.${rule}`,
      text,
      ...(path === undefined ? {} : { path }),
    })
  }

  /** The caller lacks a right of its own. */
  forbid(rule: string, text: string, path: string): void {
    this.#violations.push({ code: 'FORBIDDEN', rule, text: this.#about + text, path })
  }
}
