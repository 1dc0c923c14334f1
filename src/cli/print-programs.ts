// How programs look on a terminal.
import type { ResultOf } from '../methods/index.ts'
import { withSettings } from '../with-settings.ts'
import { paint } from './paint.ts'
import { presetText } from './print-presets.ts'
import { harmless, table } from './text.ts'

type Changed = ResultOf<'program.put'>
type Preset = ResultOf<'program.presets'>['presets'][number]
type Action = Changed['actions'][number]

const NAMES_MAX = 6

export const programPrinters = {
  'program.list': ({ programs }: ResultOf<'program.list'>) =>
    table(
      ['PROGRAM', 'SOURCE', 'PRESET', 'PROCESSES', 'REVISION', 'FILE'],
      programs.map(({ name, source, preset, processes, running, revision, drift, file }) => [
        name,
        source,
        preset ?? '-',
        `${running}/${processes}`,
        drift ? `${revision} (edited by hand)` : revision,
        file,
      ]),
    ),
  'program.get': async ({ program }: ResultOf<'program.get'>) => {
    const { definition, instances, ...rest } = program
    const yaml = await withSettings(({ writeYaml }) => writeYaml(definition))
    const head = [
      `${rest.name}: ${rest.running} of ${rest.processes} running, ${rest.source}, ${rest.file}`,
      `revision ${rest.revision}${rest.drift ? ', edited by hand since' : ''}`,
    ]
    const states = instances.map(
      ({ name, state, pid }) => `  ${name}  ${state}${pid === null ? '' : `  pid ${pid}`}`,
    )
    const notes = rest.warnings.map((text) => `note: ${text}`)
    return `${[...head, ...states, ...notes].map(harmless).join('\n')}\n\n${lines(yaml)}`
  },
  'program.presets': ({ presets }: ResultOf<'program.presets'>) =>
    presets.length === 1 || presets.some(({ stanza }) => stanza !== undefined)
      ? presets
          .map((one) => {
            const { graceful, stanza } = one
            const shown = presetText(one, `graceful restart: ${verbText(graceful)}`)
            return stanza === undefined ? shown : `${shown}\n${lines(stanza)}`
          })
          .join('\n')
      : table(
          ['PRESET', 'TITLE', 'GRACEFUL'],
          presets.map(({ preset, title, graceful }) => [preset, title, verbText(graceful)]),
        ),
  'program.plan': ({ diff, actions, warnings, errors }: ResultOf<'program.plan'>) =>
    [
      ...diff.split('\n').slice(0, -1).map(colouredDiff),
      ...actions.map(actionText),
      ...warnings.map((text) => `${paint('yellow', 'warning')}: ${harmless(text)}`),
      ...errors.map(
        ({ path, message }) => `${paint('red', 'error')}: ${harmless(path)}: ${harmless(message)}`,
      ),
    ]
      .map((line) => `${line}\n`)
      .join(''),
  'program.put': changed,
  'program.enable': changed,
  'program.disable': changed,
  'program.adopt': changed,
  'program.restore': changed,
  'program.quarantine': ({ from, to, faults }: ResultOf<'program.quarantine'>) =>
    [
      `moved ${harmless(from)} to ${harmless(to)}\n`,
      ...faults.map(
        ({ file, line, message }) =>
          `${paint('yellow', 'still refused')}: ${harmless(`${file}:${line}: ${message}`)}\n`,
      ),
    ].join(''),
  'program.delete': ({ removed }: ResultOf<'program.delete'>) =>
    removed.length === 0 ? 'deleted\n' : `deleted; stopped ${removed.map(harmless).join(' ')}\n`,
  'program.scale': ({ program, started, stopped }: ResultOf<'program.scale'>) =>
    [
      ...started.map((name) => `started ${harmless(name)}\n`),
      ...stopped.map((name) => `stopped ${harmless(name)}\n`),
      `${harmless(program.name)}: ${program.running} of ${program.processes} running\n`,
    ].join(''),
  'program.history': ({ revisions }: ResultOf<'program.history'>) =>
    table(
      ['REVISION', 'AT', 'BY', 'CALL', ''],
      revisions.map(({ revision, at, actor, method, current }) => [
        revision,
        at.slice(0, 19),
        actor ?? '-',
        method ?? '-',
        current ? 'current' : '',
      ]),
    ),
}

function verbText(graceful: Preset['graceful']): string {
  if (graceful === null) return 'stop signal'
  return graceful.by === 'signal' ? `signal ${graceful.signal}` : graceful.argv.join(' ')
}

function changed({ program, actions }: Changed): string {
  const { name, running, processes, file, revision } = program
  const text = `${name}: ${running} of ${processes} running, ${file}, revision ${revision}`
  return [...actions.map(actionText), harmless(text)].map((line) => `${line}\n`).join('')
}

function actionText({ group, action, processes }: Action): string {
  const shown = processes.slice(0, NAMES_MAX).map(harmless).join(' ')
  const more = processes.length > NAMES_MAX ? ` and ${processes.length - NAMES_MAX} more` : ''
  const what =
    action === 'none' ? 'nothing that runs changes' : `${action}${shown === '' ? '' : `: ${shown}${more}`}`
  return `${paint('cyan', harmless(group))} ${what}`
}

export function colouredDiff(line: string): string {
  const safe = harmless(line)
  if (/^(?:---|\+\+\+)/.test(line)) return safe
  if (line.startsWith('+')) return paint('green', safe)
  if (line.startsWith('-')) return paint('red', safe)
  return line.startsWith('@@') ? paint('cyan', safe) : safe
}

/** Text of several lines, harmless. */
function lines(text: string): string {
  return text.split('\n').map(harmless).join('\n')
}
