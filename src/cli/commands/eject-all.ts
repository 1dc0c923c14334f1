import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type AgentClient, connect } from '../../client/index.ts'
import type { Config } from '../../config.ts'
import type { CronPlaces } from '../../core/crontab/stack.ts'
import type { Entry } from '../../protocol/entry.ts'

/** What became of the crontab entries of the agent. */
export interface EjectedEntries {
  /** By id: ordinary lines of their users now. */
  ejected: string[]
  /** Those that are still the agent's, and why. They run on as long as the spool folder stays. */
  left: { id: string; reason: string }[]
  warnings: string[]
}

export type EjectConfig = Pick<Config, 'stateDir' | 'spoolDir' | 'policy'> & { listen: { runDir: string } }

/** Whoever can give entries back to their users. */
interface Ejector {
  entries(): Promise<readonly Pick<Entry, 'id' | 'managed' | 'name' | 'obstacles'>[]>
  /** @returns warnings */
  eject(id: string): Promise<readonly string[]>
}

/** No agent listens there: the socket is missing, or of one that is gone. */
const AWAY = new Set(['ENOENT', 'ECONNREFUSED'])

/**
 * Makes ordinary lines of all entries, so that their jobs go on without the agent. The agent does it where it runs, so
 * that nobody else writes what it knows.
 * @param options.places of a cron that is not at its usual place
 */
export async function ejectAll(
  config: EjectConfig,
  options: { configFile: string; places?: Partial<CronPlaces> },
): Promise<EjectedEntries> {
  const url = `unix://${join(config.listen.runDir, 'admin.sock')}`
  let client: AgentClient
  try {
    client = await connect({ url, reconnect: false })
  } catch (error) {
    if (!existsSync(join(config.stateDir, 'crontabs'))) return { ejected: [], left: [], warnings: [] }
    if (!isAway(error)) throw error
    return await withoutAgent(config, options)
  }
  try {
    return await ejectBy({
      entries: async () => (await client.call('crontab.list', {})).entries,
      eject: async (id) => (await client.call('crontab.eject', { id }, { mutates: true })).warnings,
    })
  } finally {
    await client.close()
  }
}

async function ejectBy(by: Ejector): Promise<EjectedEntries> {
  const outcome: EjectedEntries = { ejected: [], left: [], warnings: [] }
  for (const { id, managed, name, obstacles } of await by.entries()) {
    if (!managed) continue
    if (id === undefined || obstacles)
      outcome.left.push({ id: id ?? name, reason: 'its line was changed by hand and cannot be read' })
    else
      try {
        outcome.warnings.push(...(await by.eject(id)))
        outcome.ejected.push(id)
      } catch (error) {
        outcome.left.push({ id, reason: error instanceof Error ? error.message : String(error) })
      }
  }
  return outcome
}

/** By this process, and no agent starts meanwhile. What that needs is loaded only then. */
async function withoutAgent(
  config: EjectConfig,
  { configFile, places }: { configFile: string; places?: Partial<CronPlaces> },
): Promise<EjectedEntries> {
  const [{ offlineCrontabs }, { LOCAL_ADMIN: principal }, { Policy }, { createLogger }, { claimFolder }] =
    await Promise.all([
      import('../../core/crontab/stack.ts'),
      import('../../core/access/local-principals.ts'),
      import('../../core/policy/policy.ts'),
      import('../../logger.ts'),
      import('../../core/host/sole-agent.ts'),
    ])
  const logger = createLogger('warn')
  const release = claimFolder(config.stateDir, logger)
  const policy = new Policy({
    rules: config.policy,
    file: configFile,
    supervisord: async () => ({ uid: null, searchPath: null }),
  })
  try {
    const crontabs = await offlineCrontabs({ ...config, ...config.policy, policy, places, logger })
    return await ejectBy({
      entries: async () => (await crontabs.list(undefined, principal)).entries,
      async eject(id) {
        const judge = { principal, enforce: policy.enforce.bind(policy) }
        const change = await crontabs.prepare({ action: 'eject', id }, judge)
        return (await crontabs.commit(change, principal)).warnings
      },
    })
  } finally {
    release()
  }
}

function isAway(error: unknown): boolean {
  for (let one = error; one instanceof Error; one = one.cause)
    if ('code' in one && AWAY.has(String(one.code))) return true
  return false
}
