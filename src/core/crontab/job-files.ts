// What a job's user must reach below the spool folder: the scripts of entries. The folder is root's alone.
import { accessSync, chmodSync, constants, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '../../lib/atomic-file.ts'
import { unavailable } from './crontab-command.ts'
import { type JobScript, readScript } from './job-script.ts'

/** A command and its variables, with room. */
const BYTES_MAX = 2 * 1024 * 1024

export class JobFiles {
  readonly spoolDir: string
  readonly #shim: string
  #wanted: string | null = null

  /** @param options.shim the `cronrun` that ships with the agent */
  constructor(spoolDir: string, options: { shim: string }) {
    this.spoolDir = spoolDir
    this.#shim = options.shim
  }

  /**
   * Makes the folders, and puts `cronrun` where the lines look for it. What is in the folders is reached by whom the
   * file's own mode lets in, and listed by root alone.
   * @throws {AgentError} CRON_UNAVAILABLE where nothing can be run from there
   */
  async start(): Promise<void> {
    const programs = join(this.spoolDir, '.bin')
    // at once, before each change: eight short looks by other threads take milliseconds on a busy host
    for (const folder of [this.spoolDir, this.#folder, programs]) {
      mkdirSync(folder, { recursive: true, mode: 0o711 })
      chmodSync(folder, 0o711) // the umask must not narrow it
    }
    const wanted = (this.#wanted ??= readFileSync(this.#shim, 'utf8'))
    const installed = join(programs, 'cronrun')
    // replaced as a whole: jobs that run it now keep theirs
    if (textAt(installed) !== wanted) await writeFileAtomic(installed, wanted, 0o755)
    try {
      accessSync(installed, constants.X_OK)
    } catch {
      throw unavailable(
        'no-exec',
        `nothing can be run from ${programs} (a disk mounted noexec?), and every entry runs ${installed}: give spoolDir another place`,
      )
    }
  }

  /** Replaces the script of an entry as a whole: a shell that reads the old one keeps it. To be called after {@link start}. */
  async write(id: string, text: string, { gid }: { gid: number }): Promise<void> {
    await writeFileAtomic(this.#path(id), text, 0o640, { uid: process.getuid?.() ?? 0, gid })
  }

  /** Whether there is a script of that entry, whosever it is. */
  has(id: string): boolean {
    return existsSync(this.#path(id))
  }

  /** The script of an entry, if it is for that group: a line may name any id. */
  async read(id: string, { gid }: { gid: number }): Promise<JobScript | null> {
    const text = await this.text(id, { gid })
    const script = text === null ? null : readScript(text)
    return script?.id === id ? script : null
  }

  /** As it lies there. */
  async text(id: string, { gid }: { gid: number }): Promise<string | null> {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
    const file = await open(this.#path(id), O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(() => null)
    if (file === null) return null
    try {
      const stat = await file.stat()
      if (!stat.isFile() || stat.gid !== gid || stat.size > BYTES_MAX) return null
      return await file.readFile('utf8')
    } finally {
      await file.close()
    }
  }

  async remove(id: string): Promise<void> {
    await rm(this.#path(id), { force: true })
  }

  get #folder(): string {
    return join(this.spoolDir, '.scripts')
  }

  #path(id: string): string {
    return join(this.#folder, `${id}.sh`)
  }
}

function textAt(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
