// Asks all questions at once, each bounded in time: one that fails or hangs takes no other with it.
import type { Finding } from '../../protocol/doctor.ts'
import { withoutTokens } from '../../protocol/token.ts'
import { mayUseProgram, type Principal, seesAllPrograms } from '../access/principal.ts'
import { type Answer, type Check, type Fault, UNASKED } from './check.ts'

const CHECK_MS = 15_000
/** Of one check; what is beyond is counted. */
const FAULTS_MAX = 50
const TEXT_CHARS = 2_000

/** A check with what it found, before anybody's rights are looked at. */
export interface Examined {
  check: Check
  /** Null: not asked. */
  faults: readonly Fault[] | null
}

/** Never throws. */
export async function examine(checks: readonly Check[], checkMs = CHECK_MS): Promise<Examined[]> {
  return await Promise.all(
    checks.map(async (check) => ({ check, faults: faultsOf(await answered(check, checkMs)) })),
  )
}

/** What somebody may hear of it: worst first, in the order of the checks. */
export function findingsFor(examined: readonly Examined[], principal: Principal): Finding[] {
  const findings = examined
    .filter(({ check }) => mayHear(check, principal))
    .flatMap((one) => findingsOf(one, principal))
  return RANKS.flatMap((rank) => findings.filter(({ severity }) => severity === rank))
}

const RANKS = ['failure', 'warning', 'ok'] as const

async function answered(check: Check, checkMs: number): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Answer>((resolve) => {
    const message = `it was not found out within ${checkMs / 1000} s: ${check.question}`
    timer = setTimeout(() => resolve({ severity: 'warning', message }), checkMs)
  })
  try {
    return await Promise.race([(async () => await check.run())(), late])
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return { severity: 'warning', message: `it cannot be found out: ${check.question} ${why}` }
  } finally {
    clearTimeout(timer)
  }
}

function faultsOf(answer: Answer): readonly Fault[] | null {
  if (answer === UNASKED) return null
  if (answer === null) return []
  return 'severity' in answer ? [answer] : answer
}

function mayHear({ audience }: Check, principal: Principal): boolean {
  if (audience === 'admin') return principal.scopes.has('admin') && seesAllPrograms(principal)
  return audience === undefined || seesAllPrograms(principal)
}

function findingsOf({ check: { name, question }, faults }: Examined, principal: Principal): Finding[] {
  if (faults === null) return []
  const mayUse = mayUseProgram(principal)
  const heard = faults.filter(({ program }) => program === undefined || mayUse(program))
  if (heard.length === 0) return [{ check: name, severity: 'ok', message: `${question} Yes.` }]
  const shown = heard.slice(0, FAULTS_MAX).map((fault) => findingOf(name, fault, principal))
  const rest = heard.slice(FAULTS_MAX)
  if (rest.length === 0) return shown
  const severity = rest.some((fault) => fault.severity === 'failure') ? 'failure' : 'warning'
  return [...shown, { check: name, severity, message: `and ${rest.length} more like these` }]
}

function findingOf(check: string, fault: Fault, { scopes }: Principal): Finding {
  const { severity, message, evidence, fix, logTail } = fault
  const seen = [evidence, scopes.has('logs') ? logTail : undefined].flatMap((text) => text ?? []).join('\n')
  return {
    check,
    severity,
    message: cut(message, 'head'),
    ...(seen === '' ? {} : { evidence: cut(seen, 'end') }),
    ...(fix === undefined ? {} : { fix }),
  }
}

/** Of a log it is the end that says why. */
function cut(text: string, kept: 'head' | 'end'): string {
  const plain = withoutTokens(text)
  if (plain.length <= TEXT_CHARS) return plain
  return kept === 'head' ? `${plain.slice(0, TEXT_CHARS)}…` : `…${plain.slice(-TEXT_CHARS)}`
}
