// How results look on a terminal. A method that is not here prints its result as JSON.
import type { MethodName, ResultOf } from '../methods/index.ts'
import { paint } from './paint.ts'
import { crontabPrinters } from './print-crontabs.ts'
import { programPrinters } from './print-programs.ts'
import { runPrinters } from './print-runs.ts'
import { renderStatus } from './status-table.ts'
import { forReader, harmless, table } from './text.ts'

type Printer<M extends MethodName> = (result: ResultOf<M>) => string | Promise<string>

const results = ({ results: rows }: ResultOf<'process.start'>): string =>
  rows
    .map(({ process, ok, changed, note, error }) => {
      const more = note === undefined ? '' : `; ${paint('yellow', 'note')}: ${harmless(note)}`
      if (ok) return `${harmless(process)}: ${changed ? 'done' : 'nothing to do'}${more}\n`
      return `${harmless(process)}: ${paint('red', error?.name ?? 'failed')} ${harmless(error?.message ?? '')}\n`
    })
    .join('')

const groups = ({ added, changed, removed }: ResultOf<'supervisor.reread'>): string => {
  const lines = [
    ...added.map((name) => `${name}: added`),
    ...changed.map((name) => `${name}: changed`),
    ...removed.map((name) => `${name}: removed`),
  ]
  return lines.length === 0 ? 'no changes\n' : `${lines.map(harmless).join('\n')}\n`
}

const facts = (rows: readonly (readonly [string, string | number | null])[]): string =>
  rows.map(([key, value]) => `${key.padEnd(16)} ${harmless(String(value ?? '-'))}\n`).join('')

const PRINTERS: { [M in MethodName]?: Printer<M> } = {
  'process.list': (result) => forReader(renderStatus(result)),
  'process.start': results,
  'process.stop': results,
  'process.restart': results,
  'process.signal': results,
  'log.clear': results,
  'supervisor.reread': groups,
  'supervisor.update': groups,
  'supervisor.log': ({ text }) => forReader(text),
  'supervisor.restart': () => 'supervisord restarts\n',
  'supervisor.shutdown': () => 'supervisord ends\n',
  'supervisor.info': ({ listener, problems, ...info }) =>
    facts([
      ['version', info.version],
      ['state', info.state],
      ['pid', info.pid],
      ['identification', info.identification],
      ['config file', info.configFile],
      ['includes', info.includes.join(' ') || '-'],
      ['program files', info.programDir === null ? '-' : `${info.programDir}/*.${info.programExt}`],
      [
        'listener',
        listener.installed
          ? `${listener.connected ? 'connected' : 'not connected'}, buffer ${listener.bufferSize}, ${listener.lost} events lost`
          : 'not installed: agent init',
      ],
      ...problems.map((problem) => ['problem', problem] as const),
      ...info.orphans.map(
        ({ process, pid }) => ['orphan', `${process}: pid ${pid} was left by a killed supervisord`] as const,
      ),
    ]),
  'agent.info': ({ supervisor, listen, cron, panel, ...info }) =>
    facts([
      ['name', info.name],
      ['version', `${info.version} (protocol ${info.protocol}, Node.js ${info.node})`],
      ['started', info.startedAt],
      ['events', `epoch ${info.epoch}`],
      ['websocket', listen ? `${listen.tls ? 'wss' : 'ws'}://${hostOf(listen)}/ws` : 'off'],
      ['panel', panelText(panel)],
      [
        'supervisord',
        supervisor.reachable
          ? `${supervisor.version}, pid ${supervisor.pid}, running since ${supervisor.since}`
          : `${supervisor.state}: ${supervisor.reason ?? ''}`,
      ],
      [
        'events from',
        supervisor.eventSource === 'listener'
          ? 'the event listener'
          : `comparison, because no event listener is connected${supervisor.reachable ? ': agent init installs one' : ''}`,
      ],
      [
        'exit statuses',
        supervisor.exitStatuses ? "from supervisord's log" : "unknown: supervisord's log cannot be read",
      ],
      ['cron', cron.alive ? `running (${cron.flavour})` : 'not running'],
      ...(info.schedules ?? []).map((one) => ['schedule', scheduleText(one)] as const),
      ['policy', info.policyDigest],
    ]),
  'token.list': ({ tokens }) =>
    table(
      ['ID', 'NAME', 'ROLE', 'SCOPES', 'PROGRAMS', 'CREATED', 'LAST USED', 'STATE'],
      tokens.map((token) => [
        token.id,
        token.name,
        token.role ?? '-',
        token.scopes.join(','),
        token.programs.join(','),
        token.createdAt.slice(0, 10),
        token.lastUsedAt?.slice(0, 16) ?? 'never',
        token.revokedAt ? 'revoked' : token.expiresAt ? `until ${token.expiresAt}` : 'in force',
      ]),
    ),
  'audit.list': ({ records }) =>
    table(
      ['AT', 'ACTOR', 'FROM', 'METHOD', 'SUBJECT', 'OUTCOME', 'MS'],
      records.map((record) => [
        record.at.slice(0, 19),
        record.actor,
        record.remote ?? '-',
        record.method ?? '-',
        record.subject?.join(' ') || '-',
        [
          record.count === undefined ? record.outcome : `${record.count} ${record.outcome}`,
          record.rule ? `(${record.rule})` : '',
          record.replayed ? '(repeat)' : '',
        ]
          .filter(Boolean)
          .join(' '),
        String(record.durationMs ?? '-'),
      ]),
    ),
  'audit.verify': ({ ok, records, first, last, hash, torn, unwritten, brokenAt, reason }) => {
    const marks = [
      ...(torn > 0 ? [`${torn} torn by an abrupt end`] : []),
      ...(unwritten > 0 ? [`${unwritten} not taken by the disk`] : []),
    ]
    const tail = marks.length > 0 ? `; ${marks.join(', ')}` : ''
    if (!ok) return `${paint('red', 'BROKEN')} at record ${brokenAt}: ${harmless(reason ?? '')}${tail}\n`
    if (records === 0) return `no records${tail}\n`
    return `ok: records ${first} to ${last}${tail}\nkeep elsewhere: ${last} ${hash}\n`
  },
  ...programPrinters,
  ...crontabPrinters,
  ...runPrinters,
  'token.rotate': ({ token }) => `${token ?? ''}\n`,
  'token.revoke': ({ record }) => `${record.name} is revoked; its sessions are closed\n`,
}

/** A result as text for people. */
export async function print(method: MethodName, result: Record<string, unknown>): Promise<string> {
  const printer: Printer<never> | undefined = PRINTERS[method]
  return printer ? await printer(result as never) : `${JSON.stringify(result, null, 2)}\n`
}

function panelText({ state, since, lastClose }: ResultOf<'agent.info'>['panel']): string {
  if (state === 'off') return 'off'
  const last = lastClose && `; last: ${lastClose.reason} (${lastClose.code ?? 'no code'}, ${lastClose.at})`
  return `${state} since ${since}${last ?? ''}`
}

function scheduleText(one: NonNullable<ResultOf<'agent.info'>['schedules']>[number]): string {
  const { schedule, at, timezone, action, mode, select, next, running, lastRun } = one
  const what = mode === undefined || mode === 'hard' ? action : `${mode} ${action}`
  const last = lastRun && `last ${lastRun.ok ? 'done' : 'FAILED'} at ${lastRun.startedAt}`
  const parts = [running ? 'runs now' : last, next && `next at ${next}`].filter(Boolean)
  return `${schedule}: ${what} ${select.join(' ')} at ${at} (${timezone}); ${parts.join('; ')}`
}

function hostOf({ host, port }: { host: string; port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
