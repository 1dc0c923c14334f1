import { type FSWatcher, watch } from 'node:fs'

const POLL_MS = 100
/** After a rename the new file is there within microseconds; the poll takes over when it is not. */
const AFTER_RENAME_MS = [1, 2, 4, 8, 16, 32]

/**
 * Says when to look at a file again: ten times a second, and at once on inotify's word. inotify is a hint only;
 * without it (no watches left, another kind of file system) the poll still finds everything.
 */
export class FileWatch {
  readonly #onPoll: () => void
  readonly #onHint: () => void
  #poll: NodeJS.Timeout | null = null
  #watcher: FSWatcher | null = null
  #watched: number | null = null
  #hint: NodeJS.Immediate | null = null
  #later: NodeJS.Timeout[] = []

  constructor(on: { poll: () => void; hint: () => void }) {
    this.#onPoll = on.poll
    this.#onHint = on.hint
  }

  get isRunning(): boolean {
    return this.#poll !== null
  }

  start(): void {
    this.#poll ??= setInterval(this.#onPoll, POLL_MS)
  }

  /** Watches the file that is open as `fd`, in place of the one before. */
  follow(fd: number): void {
    if (!this.isRunning || fd === this.#watched) return
    this.#unwatch()
    this.#watched = fd
    try {
      this.#watcher = watch(`/proc/self/fd/${fd}`, { persistent: false }, (type) => this.#hinted(type))
      this.#watcher.on('error', () => this.#watcher?.close())
    } catch {
      this.#watcher = null
    }
  }

  stop(): void {
    if (this.#poll) clearInterval(this.#poll)
    this.#poll = null
    this.#unwatch()
  }

  #hinted(type: 'rename' | 'change'): void {
    this.#hint ??= setImmediate(() => {
      this.#hint = null
      this.#onHint()
    })
    if (type === 'rename' && this.#later.length === 0)
      this.#later = AFTER_RENAME_MS.map((ms) => setTimeout(this.#onHint, ms))
  }

  #unwatch(): void {
    this.#watcher?.close()
    this.#watcher = null
    this.#watched = null
    if (this.#hint) clearImmediate(this.#hint)
    this.#hint = null
    for (const timer of this.#later) clearTimeout(timer)
    this.#later = []
  }
}
