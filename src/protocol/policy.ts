/** Switches of the host's policy that a method may need. */
export const POLICY_SWITCHES = [
  'allowRemoteProgram',
  'allowRemoteCron',
  'allowRemoteTokens',
  'allowStdin',
  'allowSupervisorShutdown',
] as const
export type PolicySwitch = (typeof POLICY_SWITCHES)[number]

/** One thing that speaks against a call. */
export interface Violation {
  /** FORBIDDEN: the token lacks the right. POLICY_DENIED: the host's own rules say no. */
  code: 'FORBIDDEN' | 'POLICY_DENIED'
  /** `policy.users`, `token.users`, … */
  rule: string
  /** What is wrong and which key to change. */
  text: string
  /** The field of the definition or entry; absent when it is the call as a whole. */
  path?: string
}
