// How crontab entries look on a terminal.
import type { ResultOf } from '../methods/index.ts'
import { presetText, warningText } from './print-presets.ts'
import { colouredDiff } from './print-programs.ts'
import { harmless, table } from './text.ts'

type Changed = ResultOf<'crontab.put'>

const COMMAND_MAX = 60

export const crontabPrinters = {
  'crontab.list': ({ entries, hidden }: ResultOf<'crontab.list'>) =>
    table(
      ['ID', 'NAME', 'USER', 'SCHEDULE', 'STATE', 'NEXT', 'COMMAND'],
      entries.map((entry) => [
        entry.id ?? entry.key ?? '-',
        entry.name,
        entry.user,
        entry.schedule,
        entry.managed ? (entry.enabled ? 'enabled' : 'disabled') : (entry.owner ?? 'foreign'),
        entry.next?.[0] === undefined ? '-' : `${entry.next[0].slice(0, 16)}Z`,
        entry.command === undefined ? 'withheld' : shortened(entry.command),
      ]),
    ) + (hidden > 0 ? `and ${hidden} foreign lines that are not shown\n` : ''),
  'crontab.preview': ({ description, zone, next, warnings }: ResultOf<'crontab.preview'>) =>
    [
      `${harmless(description)} (${harmless(zone)})\n`,
      ...next.map((at) => `  ${clockIn(zone, at)}${at}\n`),
      ...warnings.map(warningText),
    ].join(''),
  'crontab.presets': ({ presets }: ResultOf<'crontab.presets'>) =>
    presets.length === 1 || presets.some(({ command }) => command !== undefined)
      ? presets
          .map((one) => {
            const { schedule, command } = one
            const shown = presetText(one, `schedule: ${schedule}`)
            return command === undefined ? shown : `${shown}\n${harmless(command)}\n`
          })
          .join('\n')
      : table(
          ['PRESET', 'TITLE', 'SCHEDULE'],
          presets.map(({ preset, title, schedule }) => [preset, title, schedule]),
        ),
  'crontab.plan': ({ diff, warnings }: ResultOf<'crontab.plan'>) =>
    [
      ...diff
        .split('\n')
        .slice(0, -1)
        .map((line) => `${colouredDiff(line)}\n`),
      ...(diff === '' ? ['nothing would change\n'] : []),
      ...warnings.map(warningText),
    ].join(''),
  'crontab.put': changed,
  'crontab.enable': changed,
  'crontab.disable': changed,
  'crontab.import': changed,
  'crontab.delete': ({ entry }: Changed) => `deleted ${harmless(`${entry.id ?? ''} ${entry.name}`)}\n`,
  'crontab.eject': ({ entry }: Changed) =>
    `${harmless(entry.name)} is an ordinary line of ${harmless(entry.user)} now\n`,
}

/** What the clock of the host shows then; empty where its zone is not known here. */
function clockIn(zone: string, at: string): string {
  try {
    const options = { timeZone: zone, dateStyle: 'short', timeStyle: 'short' } as const
    return `${new Intl.DateTimeFormat('sv-SE', options).format(new Date(at))}  `
  } catch {
    return ''
  }
}

function changed({ entry }: Changed): string {
  const { id = '-', name, user, schedule, enabled, revision, next } = entry
  const when = enabled ? (next?.[0] ? `next at ${next[0]}` : schedule) : 'disabled'
  return `${harmless(`${id} ${name}: ${user}, ${schedule}, ${when}, revision ${revision}`)}\n`
}

function shortened(command: string): string {
  const line = command.replaceAll(/[\n\t]/g, ' ')
  return line.length > COMMAND_MAX ? `${line.slice(0, COMMAND_MAX - 1)}…` : line
}
