import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { loadConfig } from '../../config.ts'
import { DEFAULT_CONFIG } from '../../config-path.ts'
import { writeFileAtomic } from '../../lib/atomic-file.ts'
import type { Globals } from '../globals.ts'
import { removeHost } from './init-remove.ts'
import { certificateText, hostCertificate, newConfig } from './init-tls.ts'
import { installText, withInstall } from './listener.ts'

/**
 * Makes a host ready: the config file and a certificate when there are none, the folders, the event listener in
 * supervisord. `--remove` gives crontab entries back to their users, takes the listener out again, and leaves config,
 * certificate, tokens and state.
 */
export async function initCommand(options: { remove?: boolean }, globals: Globals): Promise<number> {
  const path = globals.config ?? DEFAULT_CONFIG
  if (options.remove) return await removeHost(path, globals)
  const say = (text: string) => {
    if (!globals.quiet && !globals.json) process.stdout.write(`${text}\n`)
  }
  const isNew = !existsSync(path)
  if (isNew) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
    await writeFileAtomic(path, newConfig(path), 0o600)
    say(`wrote ${path} (defaults; every key is explained there)`)
  } else say(`kept ${path}`)
  const config = loadConfig(path)
  mkdirSync(config.stateDir, { recursive: true, mode: 0o700 })
  mkdirSync(config.listen.runDir, { recursive: true, mode: 0o755 })
  const certificate = await hostCertificate(config, path).catch((error: Error) => error.message)
  say(typeof certificate === 'string' ? `no certificate: ${certificate}` : certificateText(certificate))
  const outcome = await withInstall(config, 'install', (install) => install.install())
  say(installText(outcome))
  say('next: systemctl enable --now supervisor-agent, then: agent token create panel --role operator')
  if (globals.json) {
    const told = { config: path, configWritten: isNew, certificate, listener: outcome }
    process.stdout.write(`${JSON.stringify(told)}\n`)
  }
  return outcome.groupState === 'RUNNING' && typeof certificate !== 'string' ? 0 : 1
}
