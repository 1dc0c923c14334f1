import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LogChunk } from '../../../src/core/logs/chain.ts'
import { type FollowOptions, LogService, type LogSource } from '../../../src/core/logs/service.ts'

interface Scope {
  teardown(task: () => unknown): void
}

/** A folder of the test's own and a service that is stopped before the folder goes. */
export function logsIn(t: Scope): { folder: string; path: string; logs: LogService } {
  const folder = mkdtempSync(join(tmpdir(), 'sa-logs-'))
  const logs = new LogService()
  t.teardown(() => {
    logs.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  return { folder, path: join(folder, 'web.log'), logs }
}

/** What a follower got so far; `failure` is what it ended with. */
export class Reading {
  readonly chunks: LogChunk[] = []
  failure: unknown = null
  isEnded = false
  readonly #stop = new AbortController()
  readonly done: Promise<void>

  constructor(logs: LogService, source: LogSource, options: Omit<FollowOptions, 'signal'> = {}) {
    this.done = this.#run(logs.follow(source, { ...options, signal: this.#stop.signal }))
  }

  get text(): string {
    return this.chunks.map((chunk) => chunk.text).join('')
  }

  get cursor(): string {
    return this.chunks.at(-1)?.cursor ?? ''
  }

  get gaps(): number[] {
    return this.chunks.flatMap(({ dropped }) => (dropped === undefined ? [] : [dropped]))
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.done
  }

  async #run(chunks: AsyncIterable<LogChunk>): Promise<void> {
    try {
      for await (const chunk of chunks) this.chunks.push(chunk)
    } catch (error) {
      this.failure = error
    }
    this.isEnded = true
  }
}

/** This process's open files below a folder, deleted ones included. */
export function openFilesIn(folder: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`)
      return target.startsWith(folder) ? [target] : []
    } catch {
      return []
    }
  })
}

export function numbered(from: number, to: number, pad = 90): string {
  let text = ''
  for (let n = from; n <= to; n++) text += `${String(n).padStart(8, '0')} ${'x'.repeat(pad)}\n`
  return text
}
