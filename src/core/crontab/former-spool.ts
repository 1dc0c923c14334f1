// Lines that still name the spool folder of a config of before: their jobs run, and what comes of them is read by nobody.
import { type BlockLine, readBlock } from './block.ts'
import type { Script } from './change.ts'
import type { KeptEntry, UserRecord } from './entry-records.ts'
import { linesOf } from './table-lines.ts'
import { rendered, textsOf } from './user-state.ts'

/** Where lines of today lead. */
export interface Today {
  spoolDir: string
  host: string
}

/** An entry whose line names another spool folder, with that folder. */
export interface FormerSpool {
  id: string
  folder: string
}

/** The entries of a block, as its lines, that name another spool folder than that of today. */
export function formerSpools(lines: string, spoolDir: string): FormerSpool[] {
  return readBlock(linesOf(lines)).entries.flatMap(({ job }) =>
    job && job.spoolDir !== spoolDir ? [{ id: job.id, folder: job.spoolDir }] : [],
  )
}

/** Entries that name another spool folder, as they are to be written today. */
export class SpoolMove {
  readonly #moved: ReadonlyMap<string, { before: string; lines: string; script: string | null }>

  /** @param record of the user; a line that is not as it was written there was changed by hand, and is left alone */
  constructor(record: UserRecord | undefined, today: Today) {
    const texts = textsOf(record?.lines ?? '')
    const entries = new Map<string, KeptEntry>((record?.entries ?? []).map((entry) => [entry.id, entry]))
    this.#moved = new Map(
      formerSpools(record?.lines ?? '', today.spoolDir).flatMap(({ id }) => {
        const [entry, before] = [entries.get(id), texts.get(id)]
        return entry && before !== undefined ? [[id, { before, ...rendered(entry, today) }] as const] : []
      }),
    )
  }

  /** The lines of a block with those entries as they are written today. */
  of(block: readonly BlockLine[]): BlockLine[] {
    return block.map((line) => {
      const moved = line.id === null ? undefined : this.#moved.get(line.id)
      return moved?.before === line.text ? { ...line, text: moved.lines } : line
    })
  }

  /** What a change of another entry brings about beside it. */
  besides(id: string | null): { scripts: Script[]; warnings: string[] } {
    const others = [...this.#moved].filter(([own]) => own !== id)
    const ids = others.map(([own]) => own).join(' ')
    return {
      scripts: others.flatMap(([own, { script }]) => (script === null ? [] : [{ id: own, text: script }])),
      warnings:
        others.length === 0 ? [] : [`lines that named a former spoolDir name the one of today: ${ids}`],
    }
  }

  get isEmpty(): boolean {
    return this.#moved.size === 0
  }
}
