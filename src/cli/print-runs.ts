// How runs of cron jobs look on a terminal.
import type { ResultOf } from '../methods/index.ts'
import { paint } from './paint.ts'
import { harmless, table } from './text.ts'

type Listed = ResultOf<'crontab.runs'>
type Run = Listed['runs'][number]

const COLOURS: Partial<Record<Run['verdict'], Parameters<typeof paint>[0]>> = {
  success: 'green',
  failed: 'red',
  timeout: 'red',
  missed: 'red',
  skipped: 'yellow',
  running: 'cyan',
}

export const runPrinters = {
  'crontab.run': ({ run }: ResultOf<'crontab.run'>) => {
    if (run.verdict === 'skipped') return `${line(run)}: its last run still lives\n`
    return `${line(run)}\nagent cron runs --output ${harmless(run.id)} shows what comes of it, agent cron kill ${harmless(run.run)} ends it\n`
  },
  'crontab.kill': ({ run }: ResultOf<'crontab.kill'>) => `${line(run)}\n`,
  'crontab.runs': ({ runs, outputsLeftOut }: Listed) => {
    const hasOutput = runs.some(({ output, masked }) => output !== undefined || masked === true)
    const more = outputsLeftOut === 0 ? '' : `${outputsLeftOut} older outputs had no room: ask with --limit\n`
    return (hasOutput ? runs.map(block).join('\n') : rows(runs)) + more
  },
}

function rows(runs: readonly Run[]): string {
  return table(
    ['RUN', 'STARTED', 'TOOK', 'VERDICT', 'BY'],
    runs.map((run) => [
      run.run,
      `${run.startedAt.slice(0, 19)}Z`,
      took(run),
      verdict(run),
      run.byHand ? 'hand' : 'cron',
    ]),
  )
}

function block(run: Run): string {
  if (run.masked) return `${line(run)}\n  (its output needs the scope logs)\n`
  const output = run.output?.trimEnd() ?? ''
  const shown = output === '' ? [] : output.split('\n').map((text) => `  ${harmless(text)}\n`)
  return [`${line(run)}\n`, ...shown].join('')
}

function line(run: Run): string {
  const text = `${run.run}  ${run.startedAt.slice(0, 19)}Z  ${took(run)}`
  const colour = COLOURS[run.verdict]
  return `${harmless(text)}  ${colour ? paint(colour, verdict(run)) : verdict(run)}`
}

/** The word, and how it ended where that is not all there is to say. */
function verdict({ verdict: word, exitStatus, signal, detail }: Run): string {
  const how =
    signal ?? (exitStatus === undefined || exitStatus === 0 ? undefined : `exit status ${exitStatus}`)
  const facts = [how, detail].filter((fact) => fact !== undefined)
  return harmless(facts.length === 0 ? word : `${word} (${facts.join(', ')})`)
}

function took({ durationMs }: Run): string {
  return durationMs === undefined ? '-' : `${(durationMs / 1000).toFixed(durationMs < 10_000 ? 2 : 0)} s`
}
