import type { AgentClient, FeedItem } from '../../client/index.ts'

/** An update takes a group out of supervisord and puts it in again; what does not come back meanwhile has left. */
const BACK_MS = 5_000

/** Calls back once for each of the processes that leaves supervisord and does not come back, until the signal aborts. */
export async function watchDepartures(
  client: AgentClient,
  names: readonly string[],
  { signal, onLeft }: { signal: AbortSignal; onLeft: (name: string) => void },
): Promise<void> {
  const timers = new Map<string, NodeJS.Timeout>()
  const leaves = (name: string): void => {
    if (names.includes(name) && !timers.has(name)) timers.set(name, setTimeout(onLeft, BACK_MS, name))
  }
  const isBack = (name: string): void => {
    clearTimeout(timers.get(name))
    timers.delete(name)
  }
  try {
    for await (const item of client.events({ types: ['process.added', 'process.removed'], signal })) {
      const { came, left } = changesOf(item, names)
      came.forEach(isBack)
      left.forEach(leaves)
    }
  } finally {
    for (const timer of timers.values()) clearTimeout(timer)
  }
}

function changesOf(item: FeedItem, names: readonly string[]): { came: string[]; left: string[] } {
  if (item.kind === 'snapshot') {
    const there = new Set(item.processes.map(({ name }) => name))
    return { came: [...there], left: names.filter((name) => !there.has(name)) }
  }
  if (item.kind === 'gap') return { came: [], left: [] } // a snapshot follows
  return {
    came: item.type === 'process.added' ? [item.payload.process] : [],
    left: item.type === 'process.removed' ? [item.payload.process] : [],
  }
}
