import type { ResultOf } from '../methods/index.ts'
import { paint } from './paint.ts'
import { harmless } from './text.ts'

type Findings = ResultOf<'agent.doctor'>['findings']

/** What the doctor found, worst first; with `verbose` also what is well. */
export function renderFindings(findings: Findings, { verbose = false } = {}): string {
  const shown = verbose ? findings : findings.filter(({ severity }) => severity !== 'ok')
  return `${shown.map(block).join('')}${summary(findings)}\n`
}

const COLOURS = { failure: 'red', warning: 'yellow', ok: 'dim' } as const

function block({ check, severity, message, evidence, fix }: Findings[number]): string {
  const head = `${severity.toUpperCase().padEnd(7)}  ${check}: ${harmless(message)}`
  if (severity === 'ok') return `${paint('dim', head)}\n`
  const seen = (evidence === undefined ? [] : evidence.split('\n')).map(
    (line) => `         ${paint('dim', `| ${harmless(line)}`)}\n`,
  )
  const cure = fix === undefined ? '' : `         fix: ${harmless(fix)}\n`
  return `${paint(COLOURS[severity], head)}\n${seen.join('')}${cure}`
}

function summary(findings: Findings): string {
  const count = (wanted: Findings[number]['severity']) =>
    findings.filter(({ severity }) => severity === wanted).length
  const questions = new Set(findings.map(({ check }) => check)).size
  const parts = [plural(count('failure'), 'failure'), plural(count('warning'), 'warning')]
  return `${plural(questions, 'question')} asked: ${parts.join(', ')}`
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`
}
