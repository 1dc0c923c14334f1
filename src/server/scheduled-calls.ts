// What the schedules of the config do, by the way that every call takes: judgement, policy, audit.
import type { Principal } from '../core/access/principal.ts'
import type { Carried, ScheduleRule } from '../core/schedules/clock.ts'
import type { CallSource, Services } from '../methods/context.ts'
import type { ResultOf } from '../methods/index.ts'
import type { Dispatcher } from './dispatcher.ts'

/** Longer than for people, who wait for an answer. */
const TIMEOUT_MS = 600_000

/** @throws {AgentError} whatever the method or the judgement before it says */
export async function carryOut(
  number: number,
  { action, select, mode }: ScheduleRule,
  {
    services,
    dispatcher,
    signal,
  }: { services: Services; dispatcher: Pick<Dispatcher, 'dispatch'>; signal: AbortSignal },
): Promise<Carried> {
  const params = { select: [...select], timeoutMs: TIMEOUT_MS, ...(mode === undefined ? {} : { mode }) }
  const source = { ...services, ...sourceOf(number), signal }
  const answer = await dispatcher.dispatch(`process.${action}`, params, source)
  const { results } = answer as ResultOf<'process.restart'>
  return {
    changed: results.flatMap(({ process, ok, changed }) => (ok && changed ? [process] : [])),
    failed: results.flatMap(({ process, ok }) => (ok ? [] : [process])),
  }
}

/** Who wrote the config may control every program; what the host's policy denies it denies here too. */
function schedulePrincipal(number: number): Principal {
  const actor = `schedule:${number}`
  return {
    actor,
    id: actor,
    scopes: new Set(['read', 'control'] as const),
    programs: ['*'],
    users: ['*'],
    isAbovePolicy: false,
    isRemote: false,
  }
}

function sourceOf(number: number): Omit<CallSource, keyof Services | 'signal'> {
  return {
    principal: schedulePrincipal(number),
    remote: 'schedules',
    streams: { subscribe: noSession, unsubscribe: noSession, follow: noSession, unfollow: noSession },
    progress: () => undefined,
    describe: noSession,
    cancel: noSession,
  }
}

function noSession(): never {
  throw new Error('a schedule has no session')
}
