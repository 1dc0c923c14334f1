// Whether somebody changed the block of ours by hand. It is told once, and put back only where the policy says so.
import type { Logger } from '../../logger.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { EventBus } from '../events/bus.ts'
import { unifiedDiff } from '../programs/diff.ts'
import type { CrontabBackups } from './backups.ts'
import { tableDiff } from './change.ts'
import type { EntryRecords } from './entry-records.ts'
import type { CrontabStore } from './store.ts'
import type { CrontabTable } from './table.ts'
import { variablesAbove } from './table-foreign.ts'
import { linesOf, shown } from './table-lines.ts'

type Kind = 'edited' | 'missing' | 'damaged' | 'covered'

export interface DriftDeps {
  store: CrontabStore
  records: EntryRecords
  backups: CrontabBackups
  /** `policy.cronDrift`. */
  isEnforced: boolean
  bus: EventBus
  logger: Logger
}

export class DriftWatch {
  readonly #deps: DriftDeps
  /** What was told last, by user. */
  readonly #told = new Map<string, string>()

  constructor(deps: DriftDeps) {
    this.#deps = deps
  }

  /** Looks at every user with entries. */
  async sweep(): Promise<void> {
    for (const user of this.#deps.records.users)
      try {
        await this.#deps.store.alone(user, () => this.look(user, { isToRestore: this.#deps.isEnforced }))
      } catch (error) {
        const level = error instanceof AgentError ? 'warn' : 'error'
        this.#deps.logger[level]({ err: error, user }, 'a crontab could not be compared')
      }
  }

  /** Compares one crontab with what the agent wrote; nobody else may change it meanwhile. */
  async look(user: string, { isToRestore }: { isToRestore: boolean }): Promise<void> {
    const { store, records, backups } = this.#deps
    const wanted = records.of(user)?.lines ?? ''
    const table = await store.read(user)
    const kind = kindOf(table, wanted)
    if (kind === null) {
      this.#told.delete(user)
      return
    }
    const seen = `${kind} ${differenceOf(table, wanted)}`
    const isTold = this.#told.get(user) === seen
    const isRestored = isToRestore && kind !== 'damaged'
    if (isRestored)
      await store.write(
        user,
        async (now) => (now.damage.length > 0 ? null : now.withBlock(wanted)),
        (bytes) => backups.add(user, bytes, records.of(user)?.entries ?? []),
      )
    if (isTold && !isRestored) return
    this.#told.set(user, seen)
    this.#deps.bus.publish('crontab.drift', {
      user,
      kind,
      restored: isRestored,
      diff:
        kind === 'covered'
          ? tableDiff(user, table.onTop(), table)
          : unifiedDiff(`block of ${user}`, shown(wanted), shown(linesIn(table))),
    })
  }

  /** Somebody else wrote in the same milliseconds as the agent. */
  raced(user: string): void {
    this.#deps.bus.publish('crontab.drift', { user, kind: 'race', restored: false })
  }
}

function kindOf(table: CrontabTable, wanted: string): Kind | null {
  if (table.damage.length > 0) return 'damaged'
  if (differenceOf(table, wanted) === '') return variablesAbove(table).length > 0 ? 'covered' : null
  return table.block === null ? 'missing' : 'edited'
}

/** The lines that only one side has; in which order they stand is nothing to cron. */
function differenceOf(table: CrontabTable, wanted: string): string {
  const [now, then] = [linesIn(table), wanted].map((lines) => linesOf(lines).toSorted())
  return now?.join('') === then?.join('') ? '' : `${onlyIn(now, then)}\0${onlyIn(then, now)}`
}

function onlyIn(lines: readonly string[] = [], others: readonly string[] = []): string {
  const known = new Set(others)
  return lines.filter((line) => !known.has(line)).join('')
}

function linesIn({ block, damage, foreign }: CrontabTable): string {
  if (damage.length > 0) return foreign
  return block?.entries.map(({ text }) => text).join('') ?? ''
}
