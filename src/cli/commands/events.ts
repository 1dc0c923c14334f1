import { type Globals, openClient, UsageError } from '../globals.ts'
import { paint } from '../paint.ts'
import { harmless } from '../text.ts'

export interface EventsOptions {
  since?: string
  types?: string[]
  programs?: string[]
}

/** Prints events as they come, until Ctrl-C; reconnects by itself and says what it missed. */
export async function eventsCommand(options: EventsOptions, globals: Globals): Promise<number> {
  const since = options.since === undefined ? {} : { since: position(options.since) }
  const client = await openClient(globals, { reconnect: true })
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  process.once('SIGTERM', () => stop.abort())
  client.onState((state, reason) => {
    if (state === 'reconnecting')
      process.stderr.write(`agent: the connection is gone (${reason?.message ?? 'it ended'}); trying again\n`)
  })
  const filter = {
    ...(options.types ? { types: options.types } : {}),
    ...(options.programs ? { programs: options.programs } : {}),
  }
  try {
    for await (const item of client.events({ ...filter, ...since, signal: stop.signal })) {
      if (globals.json) process.stdout.write(`${JSON.stringify(item)}\n`)
      else if (item.kind === 'event') process.stdout.write(`${line(item)}\n`)
      else if (item.kind === 'gap')
        process.stdout.write(paint('yellow', `-- events ${item.from} to ${item.to} are unknown --`) + '\n')
      else
        process.stdout.write(
          paint(
            'dim',
            `-- ${item.processes.length} processes at event ${item.seq} (epoch ${item.epoch}) --`,
          ) + '\n',
        )
    }
    return 0
  } finally {
    await client.close()
  }
}

function position(text: string): { epoch: string; seq: number } {
  const [, epoch, seq] = /^([\w-]+):(\d+)$/.exec(text) ?? []
  if (epoch === undefined) throw new UsageError('--since takes EPOCH:SEQ, as --json prints them')
  return { epoch, seq: Number(seq) }
}

function line(event: {
  at: string
  seq: number
  type: string
  actor?: string | undefined
  payload: Record<string, unknown>
}): string {
  const { at, type, actor, payload } = event
  const time = at.slice(11, 23)
  const by = actor ? ` by ${actor}` : ''
  return harmless(`${time} ${type.padEnd(16)} ${describe(type, payload)}${by}`).replaceAll('\n', '\n    ')
}

function describe(type: string, payload: Record<string, unknown>): string {
  const text = (key: string) => {
    const value = payload[key]
    return typeof value === 'string' || typeof value === 'number' ? String(value) : null
  }
  if (type === 'process.state') {
    const exit = text('signal') ?? (text('exitStatus') === null ? null : `exit status ${text('exitStatus')}`)
    const verdict = payload['expected'] === false ? 'not expected' : null
    const pid = text('pid') && `pid ${text('pid')}`
    const facts = [pid, exit, verdict, text('spawnError')].filter((fact) => fact !== null).join(', ')
    const tail = text('logTail')
    return `${text('process')} ${text('from')} -> ${text('to')}${facts && ` (${facts})`}${tail ? `\n${tail.trimEnd()}` : ''}`
  }
  if (type === 'supervisor.state') return [text('state'), text('reason')].filter(Boolean).join(': ')
  return Object.entries(payload)
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ')
}
