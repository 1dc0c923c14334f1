import { type AgentClient } from '../../client/index.ts'
import { deadlineOf, type Globals, openClient, UsageError } from '../globals.ts'
import { harmless } from '../text.ts'
import { type Channel, followLogs } from './follow-logs.ts'
import { LineWriter } from './line-writer.ts'

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
  const channels: readonly Channel[] = options.both
    ? ['stdout', 'stderr']
    : [options.err ? 'stderr' : 'stdout']
  const client = await openClient(globals, { reconnect: options.follow === true })
  const out = new LineWriter(options.raw === true || !process.stdout.isTTY, globals.json === true)
  try {
    const { processes } = await client.call('process.list', { select }, deadlineOf(globals))
    const names = processes.map(({ name }) => name)
    out.setSources(names, channels.length > 1)
    if (options.follow)
      return await followLogs(client, { select, processes, channels, lines: options.lines ?? 10, out })
    return await printEnds(client, { names, channels, lines: options.lines ?? 100, out, globals })
  } finally {
    await client.close()
  }
}

async function printEnds(
  client: AgentClient,
  given: {
    names: readonly string[]
    channels: readonly Channel[]
    lines: number
    out: LineWriter
    globals: Globals
  },
): Promise<number> {
  const { names, channels, lines, out, globals } = given
  const sources = names.flatMap((name) => channels.map((channel) => ({ process: name, channel })))
  let failed = 0
  for (const source of sources)
    try {
      const { text, cursor } = await client.call('log.tail', { ...source, lines }, deadlineOf(globals))
      out.write({ ...source, text, cursor })
    } catch (error) {
      failed++
      if (sources.length === 1) throw error
      process.stderr.write(`agent: ${harmless(error instanceof Error ? error.message : String(error))}\n`)
    }
  out.end()
  return failed > 0 && failed === sources.length ? 1 : 0
}
