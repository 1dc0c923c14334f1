// Crontabs read as they lie there and written through `crontab`, by one task at a time for each user. There is no lock
// that others know of: what lies there is compared just before the write and looked at again after it.
import { watch as watchFolder } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { KeyedMutex } from '../../lib/keyed-mutex.ts'
import { sleep } from '../../lib/sleep.ts'
import { AgentError } from '../../protocol/errors.ts'
import { type CrontabCommand, unavailable } from './crontab-command.ts'
import type { CrontabFile, CrontabFiles } from './crontab-file.ts'
import { CrontabTable } from './table.ts'
import { installObstacles } from './table-limits.ts'

/** Somebody who writes that often leaves no moment to write in. */
const ATTEMPTS = 20
/** Clocks of files are some milliseconds behind. */
const COARSE_MS = 15

/** What a write came to. */
export interface Written {
  /** Null when that user had none. */
  before: Buffer | null
  table: CrontabTable
  /** False when there was nothing to change. */
  isChanged: boolean
  /** Somebody else wrote in the milliseconds of our own write: what they wrote may be lost, or what we did. */
  isRace: boolean
}

/** Makes a crontab from what lies there; called again when that changes meanwhile. Null leaves it as it is. */
export type TableEdit = (table: CrontabTable) => Promise<CrontabTable | null>

export interface CrontabStoreDeps {
  files: CrontabFiles
  command: CrontabCommand
}

export class CrontabStore {
  readonly #deps: CrontabStoreDeps
  readonly #mutex = new KeyedMutex()
  /** When each user's crontab was written by us: a removal leaves no time behind. */
  readonly #writtenMs = new Map<string, number>()

  constructor(deps: CrontabStoreDeps) {
    this.#deps = deps
  }

  /** An empty one where there is none. */
  async read(user: string): Promise<CrontabTable> {
    return tableOf(await this.#deps.files.read(user))
  }

  /** When a crontab was written last; null where there is none. */
  async writtenMs(user: string): Promise<number | null> {
    return (await this.#deps.files.read(user))?.mtimeMs ?? null
  }

  /** Everybody who has a crontab. */
  users(): Promise<string[]> {
    return this.#deps.files.users()
  }

  /** Runs a task while no other one of the agent changes that crontab. */
  alone<T>(user: string, task: () => Promise<T>): Promise<T> {
    return this.#mutex.run(user, task)
  }

  /**
   * Changes a crontab; to be called within {@link alone}. What is about to be replaced is given to `keep`.
   * @throws {AgentError} CRON_UNAVAILABLE, and what the edit throws: nothing was written
   */
  async write(user: string, edit: TableEdit, keep: (bytes: Buffer) => Promise<void>): Promise<Written> {
    const { files, command } = this.#deps
    const flavour = await command.flavour()
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const before = await files.read(user)
      const now = tableOf(before)
      const wanted = await edit(now)
      if (wanted === null || wanted.bytes.equals(now.bytes))
        return { before: before?.bytes ?? null, table: now, isChanged: false, isRace: false }
      const bytes = wanted.bytesToInstall(flavour)
      const [obstacle] = bytes.length === 0 ? [] : installObstacles(bytes)
      if (obstacle !== undefined)
        throw unavailable('refused', `the crontab of ${user} cannot be written: ${obstacle}`, { user })
      await this.#nextSecond(user, before)
      if (before) await keep(before.bytes)
      const isRace = await this.#install(user, bytes, before)
      if (isRace === null) continue
      const after = tableOf(await files.read(user))
      const isOurs = after.bytesToInstall(flavour).equals(bytes)
      return { before: before?.bytes ?? null, table: after, isChanged: true, isRace: isRace || !isOurs }
    }
    throw unavailable('busy', `somebody else writes the crontab of ${user} all the time`, { user })
  }

  /**
   * The watch begins before the last look, and nothing is waited for between that look and `crontab`.
   * @returns whether somebody else wrote it while we did, as far as the host lets us watch; null when it is not the one that was read
   */
  async #install(user: string, bytes: Buffer, before: CrontabFile | null): Promise<boolean | null> {
    const { files, command } = this.#deps
    const watch = new WriteWatch(files.folder, user)
    try {
      if (!files.isStill(user, before)) return null
      if (bytes.length === 0) await command.remove(user)
      else await command.install(user, bytes)
      this.#writtenMs.set(user, Date.now())
      return await watch.isRace()
    } finally {
      watch.close()
    }
  }

  /** Debian's cron does not see the second of two writes within one second of the clock. */
  async #nextSecond(user: string, file: CrontabFile | null): Promise<void> {
    const nowMs = Date.now()
    for (const lastMs of [file?.mtimeMs, this.#writtenMs.get(user)]) {
      const untilMs = lastMs === undefined ? 0 : (Math.floor(lastMs / 1000) + 1) * 1000 + COARSE_MS
      // one that lies in the future is no time to wait for
      if (untilMs > nowMs && untilMs - nowMs < 2_000) await sleep(untilMs - Date.now())
    }
  }
}

/** @throws {AgentError} CRONTAB_DAMAGED */
export function mustBeWhole(user: string, { damage }: CrontabTable): void {
  const [first] = damage
  if (!first) return
  throw new AgentError(
    'CRONTAB_DAMAGED',
    `the crontab of ${user} is not written, since what of it is ours cannot be told: ${first.text}; agent cron repair ${user} puts it right`,
    { facts: { user, damage: damage.slice(0, 8) } },
  )
}

function tableOf(file: CrontabFile | null): CrontabTable {
  return CrontabTable.parse(file?.bytes ?? Buffer.alloc(0))
}

/** Whether somebody else writes a crontab: our own write is one rename. Sees nothing where nothing can be watched. */
class WriteWatch {
  #renames = 0
  /** Written where it lies, as no `crontab` does. */
  #isTouched = false
  readonly #watcher: ReturnType<typeof watchFolder> | null

  constructor(folder: string, name: string) {
    this.#watcher = watching(folder, (type, changed) => {
      if (changed !== name) return
      if (type === 'rename') this.#renames++
      else this.#isTouched = true
    })
  }

  /** With all that the kernel holds ready by now: whatever is waiting is read within one turn of the event loop. */
  async isRace(): Promise<boolean> {
    for (let turn = 0; turn < 2; turn++) await setImmediate()
    return this.#renames > 1 || this.#isTouched
  }

  close(): void {
    this.#watcher?.close()
  }
}

function watching(folder: string, told: (type: string, name: string | null) => void) {
  try {
    const watcher = watchFolder(folder, { persistent: false }, told)
    watcher.on('error', () => watcher.close())
    return watcher
  } catch {
    return null
  }
}
