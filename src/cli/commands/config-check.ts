import { existsSync } from 'node:fs'
import { loadDaemonConfig } from '../../config.ts'
import { configWarnings } from '../../config-owner.ts'
import { DEFAULT_CONFIG } from '../../config-path.ts'
import type { Globals } from '../globals.ts'

/** Reads the config file as the daemon does. @returns 0; a wrong file rejects with ConfigError */
export async function checkConfig(globals: Globals): Promise<number> {
  const config = loadDaemonConfig(globals.config)
  const path = globals.config ?? DEFAULT_CONFIG
  const isThere = existsSync(path)
  for (const warning of await configWarnings(path)) process.stderr.write(`warning: ${warning}\n`)
  process.stdout.write(
    globals.json
      ? `${JSON.stringify({ ok: true, file: path })}\n`
      : isThere
        ? `${path} is right (${config.name})\n`
        : `there is no ${path}: the defaults apply; agent init writes it\n`,
  )
  return 0
}
