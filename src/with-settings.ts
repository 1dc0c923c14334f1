import { createRequire } from 'node:module'
import { join } from 'node:path'
import type * as settings from './settings.ts'

type Settings = typeof settings

const BUNDLE = join(import.meta.dirname, 'settings.cjs')

/**
 * Reads with `settings.ts`, and lets go of it: bundled it is a file of its own, whose code is garbage afterwards. Nothing of
 * it may be kept.
 */
export async function withSettings<T>(read: (settings: Settings) => T | Promise<T>): Promise<T> {
  try {
    return await read(await import('./settings.ts'))
  } finally {
    letGo()
  }
}

/** Node.js keeps what it has loaded by its path, and as a child of who asked for it. */
function letGo(): void {
  const { cache } = createRequire(import.meta.url)
  const gone = cache[BUNDLE]
  if (!gone) return
  delete cache[BUNDLE]
  for (const loaded of Object.values(cache)) {
    const at = loaded?.children.indexOf(gone) ?? -1
    if (at >= 0) loaded?.children.splice(at, 1)
  }
}
