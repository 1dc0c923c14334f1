import type { ResultOf } from '../../methods/index.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { CallMethod } from '../args.ts'
import { deadlineOf, type Globals, openClient } from '../globals.ts'

type Entry = ResultOf<'crontab.list'>['entries'][number]

/**
 * Changes what the command line names of an entry, and leaves the rest as it is. The entry must be what it was when it
 * was looked at.
 * @param given the parameters of `crontab.put`, with `id` among the fields of the entry
 */
export async function setEntry(
  given: Record<string, unknown>,
  { globals, call }: { globals: Globals; call: CallMethod },
): Promise<void> {
  const { entry: fields, ifRevision } = given as {
    entry: Record<string, unknown>
    ifRevision?: string | undefined
  }
  const before = await entryOf(String(fields['id']), globals)
  await call('crontab.put', {
    entry: { ...kept(before, fields), ...fields, ...merged(before, fields) },
    ifRevision: ifRevision ?? before.revision,
  })
}

async function entryOf(id: string, globals: Globals): Promise<Entry> {
  const client = await openClient(globals, { reconnect: false })
  try {
    const { entries } = await client.call('crontab.list', {}, deadlineOf(globals))
    const found = entries.find((entry) => entry.managed && entry.id === id)
    if (!found) throw new AgentError('ENTRY_NOT_FOUND', `there is no entry ${id}: agent cron ls shows all`)
    if (found.masked)
      throw new AgentError('FORBIDDEN', `entry ${id}: what is not shown to you cannot be changed by you`, {
        facts: { rule: 'scope', scope: 'cron' },
      })
    if (found.obstacles)
      throw new AgentError(
        'REVISION_CONFLICT',
        `entry ${id} was changed by hand and cannot be read: agent cron add --id ${id} --if-revision ${found.revision} … writes it anew, agent cron rm ${id} --if-revision ${found.revision} ends it`,
      )
    return found
  } finally {
    await client.close()
  }
}

/** What stays of an entry. A command of its own ends its preset; other options of a preset make another command. */
function kept(before: Entry, fields: Record<string, unknown>): Record<string, unknown> {
  const { name, user, schedule, command, env, enabled, timeoutMs, noOverlap, splayMs, preset, options } =
    before
  const plain = { name, user, schedule, env, enabled, timeoutMs, noOverlap, splayMs }
  if ('command' in fields) return plain
  if ('preset' in fields) return plain
  if ('options' in fields) return { ...plain, preset }
  return { ...plain, command, preset, options }
}

function merged(before: Entry, fields: Record<string, unknown>): Record<string, unknown> {
  if (!('options' in fields) || 'preset' in fields) return {}
  return { options: { ...before.options, ...(fields['options'] as object) } }
}
