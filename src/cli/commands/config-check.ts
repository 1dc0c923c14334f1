import { existsSync } from 'node:fs'
import { DEFAULT_CONFIG, loadDaemonConfig } from '../../config.ts'
import type { Globals } from '../globals.ts'

/** Reads the config file. @returns 0; a wrong file throws ConfigError */
export function checkConfig(globals: Globals): number {
  const config = loadDaemonConfig(globals.config)
  const path = globals.config ?? DEFAULT_CONFIG
  const isThere = existsSync(path)
  process.stdout.write(
    globals.json
      ? `${JSON.stringify({ ok: true, file: path })}\n`
      : isThere
        ? `${path} is right (${config.name})\n`
        : `there is no ${path}: the defaults apply; agent init writes it\n`,
  )
  return 0
}
