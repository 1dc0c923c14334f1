import type { ResultOf } from '../../methods/index.ts'
import { deadlineOf, type Globals, openClient, UsageError } from '../globals.ts'
import { paint } from '../print.ts'
import { harmless } from '../text.ts'

export interface LogsOptions {
  follow?: boolean
  lines?: number
  err?: boolean
  both?: boolean
  raw?: boolean
}

/** Prints the ends of logs, or follows them; several processes get a prefix each. */
export async function logsCommand(select: string[], options: LogsOptions, globals: Globals): Promise<number> {
  if (options.err && options.both) throw new UsageError('either --err or --both')
  const channel = options.both ? 'both' : options.err ? 'stderr' : 'stdout'
  const client = await openClient(globals, { reconnect: options.follow === true })
  const out = new LineWriter(options.raw === true || !process.stdout.isTTY, globals.json === true)
  try {
    const { processes } = await client.call('process.list', { select }, deadlineOf(globals))
    const names = processes.map(({ name }) => name)
    out.setSources(names, channel === 'both')
    if (!options.follow) {
      const channels = channel === 'both' ? (['stdout', 'stderr'] as const) : ([channel] as const)
      let failed = 0
      for (const process_ of names)
        for (const one of channels)
          try {
            const { text, cursor } = await client.call(
              'log.tail',
              { process: process_, channel: one, lines: options.lines ?? 100 },
              deadlineOf(globals),
            )
            out.write({ process: process_, channel: one, text, cursor })
          } catch (error) {
            failed++
            if (names.length * channels.length === 1) throw error
            process.stderr.write(
              `agent: ${harmless(error instanceof Error ? error.message : String(error))}\n`,
            )
          }
      out.end()
      return failed > 0 && failed === names.length * channels.length ? 1 : 0
    }
    const stop = new AbortController()
    process.once('SIGINT', () => stop.abort())
    process.once('SIGTERM', () => stop.abort())
    client.onState((state, reason) => {
      if (state === 'reconnecting')
        process.stderr.write(
          `agent: the connection is gone (${reason?.message ?? 'it ended'}); trying again\n`,
        )
    })
    const sources = sourcesOf(processes, channel === 'both' ? ['stdout', 'stderr'] : [channel])
    let open = sources.length
    for await (const chunk of client.follow({
      select,
      channel,
      lines: options.lines ?? 10,
      signal: stop.signal,
    })) {
      if (chunk.ended !== undefined) {
        process.stderr.write(`agent: ${harmless(chunk.process)}: ${harmless(chunk.ended)}\n`)
        if (--open <= 0) return 1
      } else out.write(chunk)
    }
    out.end()
    return 0
  } finally {
    await client.close()
  }
}

type Channel = 'stdout' | 'stderr'
type Listed = ResultOf<'process.list'>['processes'][number]

/** The logs that there are to follow; of those that there are not, stderr tells. */
function sourcesOf(processes: readonly Listed[], channels: readonly Channel[]): string[] {
  const wanted = processes.flatMap(({ name, stdoutLogfile, stderrLogfile }) =>
    channels.map((channel) => ({
      name: `${name} ${channel}`,
      file: channel === 'stdout' ? stdoutLogfile : stderrLogfile,
    })),
  )
  const sources = wanted.flatMap(({ name, file }) => (file === null ? [] : [name]))
  const missing = wanted.flatMap(({ name, file }) => (file === null ? [name] : []))
  // with nothing to follow at all the agent says why
  if (sources.length > 0 && missing.length > 0)
    process.stderr.write(`agent: left out, they have no log file: ${harmless(missing.join(', '))}\n`)
  return sources
}

interface Chunk {
  process: string
  channel: 'stdout' | 'stderr'
  text: string
  cursor: string
  dropped?: number | undefined
}

/** Writes chunks of text from several sources so that lines stay whole. */
class LineWriter {
  readonly #isRaw: boolean
  readonly #isJson: boolean
  readonly #rests = new Map<string, string>()
  #width = 0
  #showsChannel = false

  constructor(isRaw: boolean, isJson: boolean) {
    this.#isRaw = isRaw
    this.#isJson = isJson
  }

  setSources(names: readonly string[], showsChannel: boolean): void {
    this.#width = names.length > 1 ? Math.max(...names.map(({ length }) => length)) : 0
    this.#showsChannel = showsChannel
  }

  write(chunk: Chunk): void {
    if (this.#isJson) {
      process.stdout.write(`${JSON.stringify(chunk)}\n`)
      return
    }
    if (chunk.dropped !== undefined)
      process.stderr.write(
        `agent: ${harmless(chunk.process)}: ${
          chunk.dropped > 0
            ? `${chunk.dropped} bytes were rotated away unread`
            : 'the log was emptied or cut; what came just before may be missing'
        }\n`,
      )
    const prefix = this.#prefix(chunk)
    if (prefix === '') {
      process.stdout.write(this.#clean(chunk.text))
      return
    }
    const key = `${chunk.process}/${chunk.channel}`
    const lines = ((this.#rests.get(key) ?? '') + chunk.text).split('\n')
    this.#rests.set(key, lines.pop() ?? '')
    process.stdout.write(lines.map((line) => `${prefix}${this.#clean(line)}\n`).join(''))
  }

  /** Writes what has no end of line yet. */
  end(): void {
    for (const [key, rest] of this.#rests)
      if (rest !== '') process.stdout.write(`${key} | ${this.#clean(rest)}\n`)
  }

  #prefix({ process: name, channel }: Chunk): string {
    if (this.#width === 0 && !this.#showsChannel) return ''
    const mark = this.#showsChannel ? (channel === 'stderr' ? ' err' : ' out') : ''
    return `${paint('cyan', harmless(name).padEnd(this.#width) + mark)} | `
  }

  #clean(text: string): string {
    return this.#isRaw ? text : harmless(text)
  }
}
