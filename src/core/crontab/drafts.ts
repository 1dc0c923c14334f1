// The change that each wish comes to: the entry as it will be, judged, and what becomes of the block.
import { randomBytes } from 'node:crypto'
import type { EntryDefinition } from '../../protocol/entry.ts'
import type { ResolvedEntry, Verdict } from '../policy/subject.ts'
import { type BlockLine, readBlock } from './block.ts'
import type { Edited } from './change.ts'
import { type Draft, judgeEntry, NOTHING, type Site } from './draft.ts'
import { ejectEntry } from './eject.ts'
import type { KeptEntry, UserRecord } from './entry-records.ts'
import { formerSpools, SpoolMove, type Today } from './former-spool.ts'
import type { PreparerDeps, Wish } from './prepare.ts'
import { changed, checkRevision, invalidEntry, noEntry } from './refusals.ts'
import { parseSchedule } from './schedule.ts'
import { scheduleWarnings } from './schedule-warnings.ts'
import { repairOf, restoreOf } from './table-drafts.ts'
import { foreignJobs } from './table-foreign.ts'
import { linesOf } from './table-lines.ts'
import { alteredLine, type EntryState, entriesOf, linesWith, rendered, type UserState } from './user-state.ts'

/** They lead no other line to the spool of today: it need not be one that works, or they write what was there then. */
const STILL = new Set<Wish['action']>(['delete', 'eject', 'restore'])

export class Drafts {
  readonly #deps: PreparerDeps

  constructor(deps: PreparerDeps) {
    this.#deps = deps
  }

  /** @throws what {@link Preparer.prepare} throws of the entry itself */
  async of(wish: Wish, site: Site): Promise<Draft> {
    const draft = await this.#draft(wish, site)
    if (STILL.has(wish.action)) return draft
    return {
      ...draft,
      scripts: (record) => [...draft.scripts(record), ...this.#move(record).besides(draft.id).scripts],
      warnings: [...draft.warnings, ...this.#move(site.state.record).besides(draft.id).warnings],
    }
  }

  #draft(wish: Wish, site: Site): Promise<Draft> | Draft {
    switch (wish.action) {
      case 'put':
        return this.#put(wish, site)
      case 'enable':
      case 'disable':
        return this.#switched(wish, site)
      case 'delete':
        return this.#deleted(wish, site)
      case 'import':
        return this.#imported(wish, site)
      case 'eject':
        return this.#ejected(wish, site)
      case 'repair':
        return repairOf(this.#today)
      case 'restore':
        return restoreOf(wish, site, { ...this.#deps, today: this.#today })
    }
  }

  async #put(
    { entry, ifRevision }: { entry: EntryDefinition; ifRevision?: string | undefined },
    site: Site,
  ): Promise<Draft> {
    const { user: _user, id, ...rest } = entry
    const before = id === undefined ? null : await this.#own(id, site)
    const altered = id === undefined ? null : alteredLine(site.state, id)
    checkRevision(id ?? entry.name, standing(before, altered), ifRevision)
    const { schedule = '', command = '' } = entry
    const parsed = parseSchedule(schedule)
    const text = parsed.kind === 'problem' ? schedule : parsed.text
    const wanted = defined({ ...rest, id: id ?? newId(), schedule: text, command })
    const { original, importedCommand } = before?.entry ?? {}
    const kept = {
      ...wanted,
      ...(original === undefined ? {} : { original }),
      ...(importedCommand === undefined ? {} : { importedCommand }),
    }
    const draft = await this.#set(kept, before, site)
    return altered ? { ...draft, seen: altered.text } : draft
  }

  async #switched(
    { id, action, ifRevision }: { id: string; action: string; ifRevision?: string | undefined },
    site: Site,
  ): Promise<Draft> {
    const before = need(id, await this.#own(id, site))
    checkRevision(id, before, ifRevision)
    const entry = { ...before.entry, enabled: action === 'enable' }
    if (action === 'enable') return await this.#set(entry, before, site)
    return this.#written(entry, before, { judged: [], warnings: [] })
  }

  /** Judged by today's rules, and put into the block. */
  async #set(entry: KeptEntry, before: EntryState | null, site: Site): Promise<Draft> {
    const { judged, command } = await judgeEntry(entry, site, { ...this.#deps, isNew: before === null })
    const parsed = parseSchedule(entry.schedule)
    const warnings =
      parsed.kind === 'problem'
        ? []
        : scheduleWarnings(parsed, { afterMs: Date.now(), zone: this.#deps.zone() })
    const isImport = before === null && entry.original !== undefined
    const kept = { ...entry, command, ...(isImport ? { importedCommand: command } : {}) }
    return this.#written(kept, before, {
      judged: [judged],
      warnings: [...warnings, ...judged.notes],
    })
  }

  #written(
    entry: KeptEntry,
    before: EntryState | null,
    told: { judged: Verdict<ResolvedEntry>[]; warnings: string[] },
  ): Draft {
    const { lines, script } = this.#rendered(entry)
    return {
      ...told,
      id: entry.id,
      entry,
      seen: before?.text ?? null,
      scripts: () => (script === null ? [] : [{ id: entry.id, text: script }]),
      leftovers: script === null ? [entry.id] : [],
      edit: (state) => this.#edited(state, entry.id, { lines, entry }),
    }
  }

  async #deleted(
    { id, ifRevision }: { id: string; ifRevision?: string | undefined },
    site: Site,
  ): Promise<Draft> {
    const before = await this.#own(id, site)
    const altered = alteredLine(site.state, id)
    // one whose line somebody took out by hand is still known
    const entry = before?.entry ?? this.#deps.records.entry(id)
    if (!entry) throw noEntry(`there is no entry ${id} any more`, { id })
    checkRevision(id, standing(before, altered), ifRevision)
    return {
      ...NOTHING,
      id,
      entry,
      seen: (before ?? altered)?.text ?? null,
      leftovers: [id],
      edit: (state) => this.#edited(state, id, null),
    }
  }

  async #imported({ user, key }: { user: string; key: string }, site: Site): Promise<Draft> {
    const job = foreignJobs(site.state.table).find((one) => one.key === key)
    if (!job) throw noEntry(`there is no line ${key} in the crontab of ${user}`, { user, key })
    const issues = job.obstacles().map((message) => ({ path: 'key', message }))
    if (issues.length > 0) throw invalidEntry(`line ${job.line} of ${user}`, issues)
    const { schedule, command, owner, text, line } = job
    const entry: KeptEntry = {
      id: newId(),
      // as it was listed: a name is shown to those who may not see what runs
      name: owner?.name || `line ${line}`,
      schedule,
      command,
      enabled: true,
      original: text,
    }
    const draft = await this.#set(entry, null, site)
    return {
      ...draft,
      warnings: [...draft.warnings, ...job.warnings()],
      edit: (state) => {
        const now = foreignJobs(state.table).find((one) => one.key === key)
        if (!now) throw changed(user)
        return draft.edit({ ...state, table: state.table.withoutForeign(now.at, now.text) })
      },
    }
  }

  async #ejected({ id }: { id: string }, site: Site): Promise<Draft> {
    const before = need(id, await this.#own(id, site))
    const { entry } = before
    // a script lies where its line has found it so far
    const [former] = formerSpools(before.text, this.#deps.files.spoolDir)
    const spoolDir = former?.folder ?? this.#deps.files.spoolDir
    const { lines, needsScript, warnings } = ejectEntry(entry, { ...entry, spoolDir })
    return {
      ...NOTHING,
      id,
      entry,
      seen: before.text,
      leftovers: needsScript ? [] : [id],
      warnings: [...warnings],
      edit: (state) => {
        const edited = this.#edited(state, id, null)
        return { ...edited, table: edited.table.withForeignOnTop(lines) }
      },
    }
  }

  /** The entry as it stands in the crontab of that user. */
  async #own(id: string, { state }: Site): Promise<EntryState | null> {
    const states = await entriesOf(state, this.#deps.files)
    return states.find(({ entry }) => entry.id === id) ?? null
  }

  #edited(state: UserState, id: string, put: { lines: string; entry: KeptEntry } | null): Edited {
    const { record, table } = state
    const lines = put?.lines ?? null
    const move = this.#move(record)
    const led = (entries: readonly BlockLine[]) => (put ? move.of(entries) : entries)
    const known = led(record ? readBlock(linesOf(record.lines)).entries : [])
    const block = this.#deps.isEnforced && record ? known : led(table.block?.entries ?? [])
    const rest = (record?.entries ?? []).filter((entry) => entry.id !== id)
    return {
      table: table.withBlock(linesWith(block, id, lines)),
      entries: put ? [...rest, put.entry] : rest,
      lines: linesWith(known, id, lines),
    }
  }

  #rendered(entry: KeptEntry) {
    return rendered(entry, this.#today)
  }

  #move(record: UserRecord | undefined): SpoolMove {
    return new SpoolMove(record, this.#today)
  }

  get #today(): Today {
    return { spoolDir: this.#deps.files.spoolDir, host: this.#deps.host }
  }
}

/** @throws {AgentError} ENTRY_NOT_FOUND */
function need(id: string, state: EntryState | null): EntryState {
  if (state) return state
  throw noEntry(`there is no entry ${id} in its crontab any more`, { id })
}

/** What stands there of an entry, as far as its revision goes; one that cannot be read was changed by hand. */
function standing(
  before: EntryState | null,
  altered: { revision: string } | null,
): { revision: string; isDrifted: boolean } | null {
  return before ?? (altered && { revision: altered.revision, isDrifted: true })
}

/** Sorts by time, and has no letters that look alike. */
function newId(): string {
  const time = Math.floor(Date.now() / 1000).toString(36)
  return `${time}-${randomBytes(4).toString('hex')}`
}

function defined(entry: { [K in keyof KeptEntry]: KeptEntry[K] | undefined } & KeptEntry): KeptEntry {
  const { id, name, schedule, command, enabled, env, noOverlap, timeoutMs, splayMs, preset, options } = entry
  return {
    id,
    name,
    schedule,
    command,
    enabled,
    ...(env && Object.keys(env).length > 0 ? { env } : {}),
    ...(noOverlap ? { noOverlap } : {}),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(splayMs === undefined ? {} : { splayMs }),
    ...(preset === undefined ? {} : { preset }),
    ...(preset === undefined || options === undefined ? {} : { options }),
  }
}
