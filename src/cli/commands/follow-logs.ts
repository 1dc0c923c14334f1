import type { AgentClient } from '../../client/index.ts'
import type { ResultOf } from '../../methods/index.ts'
import { harmless } from '../text.ts'
import type { LineWriter } from './line-writer.ts'

export type Channel = 'stdout' | 'stderr'
type Listed = ResultOf<'process.list'>['processes'][number]

interface Following {
  select: string[]
  /** What the selection means now. */
  processes: readonly Listed[]
  channels: readonly Channel[]
  lines: number
  out: LineWriter
}

/** Writes logs as they grow, until Ctrl-C. @returns 1 when nothing is left to follow */
export async function followLogs(client: AgentClient, following: Following): Promise<number> {
  const { select, processes, channels, lines, out } = following
  const stop = new AbortController()
  const { signal } = stop
  process.once('SIGINT', () => stop.abort())
  process.once('SIGTERM', () => stop.abort())
  client.onState((state, reason) => {
    if (state === 'reconnecting')
      say(`the connection is gone (${reason?.message ?? 'it ended'}); trying again`)
  })
  const open = openLogs(processes, channels)
  const told = new Set<string>()
  let status = 0
  const ended = (name: string, channel: Channel, why: string): void => {
    for (const one of open) if (one.process === name && one.channel === channel) open.delete(one)
    const words = `${name}: ${why}`
    const isOtherOpen = [...open].some((one) => one.process === name)
    // what ends a process ends both of its logs, and is told once
    if (!told.delete(words)) {
      say(words)
      if (isOtherOpen) told.add(words)
    }
    if (open.size > 0) return
    status = 1
    stop.abort()
  }
  const channel = channels.length > 1 ? 'both' : (channels[0] ?? 'stdout')
  for await (const chunk of client.follow({ select, channel, lines, signal }))
    if (chunk.ended === undefined) out.write(chunk)
    else ended(chunk.process, chunk.channel, chunk.ended)
  out.end()
  return status
}

interface OpenLog {
  process: string
  channel: Channel
}

/** The logs that there are to follow; of those that there are not, stderr tells. */
function openLogs(processes: readonly Listed[], channels: readonly Channel[]): Set<OpenLog> {
  const fileOf = { stdout: 'stdoutLogfile', stderr: 'stderrLogfile' } as const
  const wanted = processes.flatMap((listed) =>
    channels.map((channel) => ({ process: listed.name, channel, file: listed[fileOf[channel]] })),
  )
  const there = wanted.filter(({ file }) => file !== null)
  const missing = wanted.filter(({ file }) => file === null)
  // with nothing to follow at all the agent says why
  if (there.length > 0 && missing.length > 0)
    say(
      `left out, they have no log file: ${missing.map(({ process: name, channel }) => `${name} ${channel}`).join(', ')}`,
    )
  return new Set(there)
}

function say(text: string): void {
  process.stderr.write(`agent: ${harmless(text)}\n`)
}
