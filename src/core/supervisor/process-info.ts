import * as z from 'zod'
import { AgentError } from '../../protocol/errors.ts'
import { ProcessState } from '../../protocol/process.ts'
import { faultError } from './codec.ts'

/** supervisord's `getProcessInfo` struct; times in whole seconds since 1970, 0 = never. */
export const ProcessInfo = z.object({
  name: z.string(),
  group: z.string(),
  start: z.int(),
  stop: z.int(),
  now: z.int(),
  statename: ProcessState,
  spawnerr: z.string(),
  exitstatus: z.int(),
  stdout_logfile: z.string(),
  stderr_logfile: z.string(),
  pid: z.int(),
})
export type ProcessInfo = z.infer<typeof ProcessInfo>
/** What is read of the struct. */
export const INFO_MEMBERS: readonly string[] = ProcessInfo.keyof().options

/** What a multicall answers for an exception inside supervisord (supervisor/xmlrpc.py, multicall). */
const EXCEPTION = 1
const FAILED = 30
const Faulty = z.object({ faultCode: z.int(), faultString: z.string() })

/** One item of a batch. @throws {AgentError} SUPERVISOR_FAULT when that item failed */
export function parseBatchItem<T>(schema: z.ZodType<T>, item: unknown): T {
  const fault = Faulty.safeParse(item)
  if (fault.success) {
    const { faultCode, faultString } = fault.data
    throw faultError(faultCode === EXCEPTION ? FAILED : faultCode, faultString)
  }
  return parsed(schema, item)
}

export function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new AgentError(
    'SUPERVISOR_UNREACHABLE',
    'what answers on the socket does not answer as supervisord does',
    {
      facts: { reason: 'garbage' },
      cause: result.error,
    },
  )
}

/** `group:process`, bare when equal, as supervisorctl prints it. */
export function nameOf(group: string, process: string): string {
  return group === process ? process : `${group}:${process}`
}
