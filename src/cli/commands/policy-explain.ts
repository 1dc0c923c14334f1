import { ERRORS } from '../../protocol/errors.ts'
import { deadlineOf, type Globals, openClient, UsageError } from '../globals.ts'
import { harmless } from '../text.ts'

/** Prints what the agent would do with a call of this caller. @returns 0 when it is allowed, 11 when it is not */
export async function explainPolicy(
  method: string,
  json: string | undefined,
  globals: Globals,
): Promise<number> {
  const params = paramsOf(json)
  const client = await openClient(globals, { reconnect: false })
  try {
    const result = await client.call('policy.explain', { method, params }, deadlineOf(globals))
    if (globals.json) process.stdout.write(`${JSON.stringify(result)}\n`)
    else {
      const { allowed, violations, text } = result
      const lines = violations.map(
        (one) => `${one.path === undefined ? '' : `${one.path}: `}${one.rule}: ${one.text}`,
      )
      const head = allowed && lines.length > 0 ? 'allowed on admin.sock alone' : allowed ? text : 'denied'
      process.stdout.write([head, ...lines].map((line) => `${harmless(line)}\n`).join(''))
    }
    return result.allowed ? 0 : ERRORS.POLICY_DENIED.exit
  } finally {
    await client.close()
  }
}

function paramsOf(json: string | undefined): Record<string, unknown> {
  if (json === undefined) return {}
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    value = null
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UsageError(`the parameters are a JSON object, such as '{"select":["worker:*"]}'`)
  return { ...value }
}
