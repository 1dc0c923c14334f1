import { DEFAULT_CONFIG, loadConfig } from '../../config.ts'
import type { Globals } from '../globals.ts'

/** Reads the config file. @returns 0; a wrong file throws ConfigError */
export function checkConfig(globals: Globals): number {
  const config = loadConfig(globals.config)
  const path = globals.config ?? DEFAULT_CONFIG
  process.stdout.write(
    globals.json ? `${JSON.stringify({ ok: true, file: path })}\n` : `${path} is right (${config.name})\n`,
  )
  return 0
}
