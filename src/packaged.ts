import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Path of a file that ships with the agent: beside the bundle, or one folder up in a run from source. */
export function packagedFile(name: string): string {
  const beside = join(import.meta.dirname, name)
  return existsSync(beside) ? beside : join(import.meta.dirname, '..', name)
}
