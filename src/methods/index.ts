import type * as z from 'zod'
import { agentMethods } from './agent.ts'
import { auditMethods } from './audit.ts'
import { crontabMethods } from './crontab.ts'
import { crontabRunMethods } from './crontab-runs.ts'
import { crontabTableMethods } from './crontab-tables.ts'
import { eventMethods } from './event.ts'
import { logMethods } from './log.ts'
import { policyMethods } from './policy.ts'
import { processMethods } from './process.ts'
import { programMethods } from './program.ts'
import { programChangeMethods } from './program-changes.ts'
import { rpcMethods } from './rpc.ts'
import { supervisorMethods } from './supervisor.ts'
import { tokenMethods } from './token.ts'

/** Every method of the API, by its name on the wire. */
export const METHODS = {
  ...agentMethods,
  ...rpcMethods,
  ...processMethods,
  ...logMethods,
  ...supervisorMethods,
  ...programMethods,
  ...programChangeMethods,
  ...crontabMethods,
  ...crontabTableMethods,
  ...crontabRunMethods,
  ...eventMethods,
  ...tokenMethods,
  ...policyMethods,
  ...auditMethods,
}

export type Methods = typeof METHODS
export type MethodName = keyof Methods
export type ParamsOf<M extends MethodName> = z.input<Methods[M]['params']>
export type ResultOf<M extends MethodName> = z.output<Methods[M]['result']>
