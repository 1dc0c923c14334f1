import * as z from 'zod'
import type { JournalState } from './journal-state.ts'

/** Where a source of events stands: it is written in the record of the event that it caused. */
const Source = z.strictObject({
  supervisord: z.int(),
  started: z.int().nullable(),
  serial: z.int(),
  poolSerial: z.int(),
})
export type Source = z.infer<typeof Source>

const Line = z.looseObject({ seq: z.int(), to: z.int().optional(), source: Source.optional() })

/** The number of the last record, 0 when there is none, and where the source stood. */
export interface JournalEnd {
  seq: number
  source: Source | null
}

/** The end by the lines of the newest file; null when their numbers are not in order. */
export function endOf(texts: readonly string[]): JournalEnd | null {
  let seq: number | null = null
  let source: Source | null = null
  for (const text of texts) {
    const line = lineOf(text)
    if (!line) return null
    const isNote = !('type' in line) && !('gap' in line)
    if (seq !== null && line.seq !== (isNote ? seq : seq + 1)) return null
    seq = line.to ?? line.seq
    if (seq < line.seq) return null
    source = line.source ?? source
  }
  return { seq: seq ?? 0, source }
}

function lineOf(text: string): z.infer<typeof Line> | null {
  try {
    return Line.safeParse(JSON.parse(text)).data ?? null
  } catch {
    return null
  }
}

/** Why the numbers cannot go on; null when they can. */
export function whyNew(before: JournalState | null, end: JournalEnd | null, bootId: string): string | null {
  if (!before) return 'there is no journal'
  if (!end) return 'the journal is damaged'
  if (end.seq === 0 && before.given === undefined) return 'the journal is empty'
  if (before.state === 'running' && before.bootId !== bootId) return 'the host went down without a warning'
  return null
}
