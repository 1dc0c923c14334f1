import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TokenStore } from '../../../src/core/access/tokens.ts'
import { createLogger, type Logger } from '../../../src/logger.ts'

interface Test {
  teardown(undo: () => unknown): void
}

/** An empty folder of the test's own. */
export async function folder(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'access-'))
  t.teardown(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A logger and the lines it wrote. */
export function recorder(): { logger: Logger; lines: string[] } {
  const lines: string[] = []
  return { logger: createLogger('debug', { write: (line) => void lines.push(line) }), lines }
}

/** A clock that stands until it is moved. */
export function clock(start = Date.parse('2026-01-01T00:00:00Z')): {
  now: () => number
  add(ms: number): void
} {
  let at = start
  return {
    now: () => at,
    add(ms) {
      at += ms
    },
  }
}

/** A started store on a file of its own, and what it reported. */
export async function tokenStore(t: Test, options: { path?: string; now?: () => number } = {}) {
  const path = options.path ?? join(await folder(t), 'tokens.json')
  const { logger, lines } = recorder()
  const store = new TokenStore({ path, logger, ...(options.now && { now: options.now }) })
  const changes: string[][] = []
  store.onChange((less) => changes.push(less.map(({ id }) => id)))
  await store.start()
  t.teardown(() => store.stop())
  return { store, path, lines, changes }
}

export async function writeWithMode(path: string, content: string, mode: number): Promise<void> {
  await writeFile(path, content)
  await chmod(path, mode)
}
