import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type AgentClient, connect } from '../../client/index.ts'
import { EntryRecords } from '../../core/crontab/entry-records.ts'

/** What became of the crontab entries of the agent. */
export interface EjectedEntries {
  /** By id: ordinary lines of their users now. */
  ejected: string[]
  /** Those that are still the agent's, and why. They run on as long as the spool folder stays. */
  left: { id: string; reason: string }[]
  warnings: string[]
}

/** Makes ordinary lines of all entries, so that their jobs go on without the agent. The agent must run for it. */
export async function ejectAll(config: {
  stateDir: string
  listen: { runDir: string }
}): Promise<EjectedEntries> {
  const url = `unix://${join(config.listen.runDir, 'admin.sock')}`
  const client = await connect({ url, reconnect: false }).catch(() => null)
  if (!client) {
    const reason = 'no agent answers that could give it back: start it, and do this again'
    return {
      ejected: [],
      left: (await knownIds(config.stateDir)).map((id) => ({ id, reason })),
      warnings: [],
    }
  }
  try {
    return await ejectBy(client)
  } finally {
    await client.close()
  }
}

async function ejectBy(client: AgentClient): Promise<EjectedEntries> {
  const outcome: EjectedEntries = { ejected: [], left: [], warnings: [] }
  const { entries } = await client.call('crontab.list', {})
  for (const { id, managed, name } of entries) {
    if (!managed) continue
    if (id === undefined)
      outcome.left.push({ id: name, reason: 'its line was changed by hand and cannot be read' })
    else
      try {
        const { warnings } = await client.call('crontab.eject', { id }, { mutates: true })
        outcome.ejected.push(id)
        outcome.warnings.push(...warnings)
      } catch (error) {
        outcome.left.push({ id, reason: error instanceof Error ? error.message : String(error) })
      }
  }
  return outcome
}

async function knownIds(stateDir: string): Promise<string[]> {
  const folder = join(stateDir, 'crontabs')
  if (!existsSync(folder)) return []
  const records = new EntryRecords(folder)
  await records.start()
  return records.users.flatMap((user) => records.of(user)?.entries.map(({ id }) => id) ?? [])
}
