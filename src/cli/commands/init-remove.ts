import { loadConfig } from '../../config.ts'
import type { RemoveOutcome } from '../../core/supervisor/listener-install.ts'
import type { Globals } from '../globals.ts'
import { harmless } from '../text.ts'
import { type EjectedEntries, ejectAll } from './eject-all.ts'
import { withInstall } from './listener.ts'

const UNTOUCHED: Omit<RemoveOutcome, 'problem'> = {
  file: null,
  changed: false,
  foreign: { added: [], changed: [], removed: [] },
}

/**
 * Gives crontab entries back to their users and takes the listener out of supervisord. One that fails keeps the other
 * from nothing, and what is left is said with its way out.
 * @returns the exit status: 0 when nothing is left, 1 when a part is. What fails before anything was done is thrown.
 */
export async function removeHost(path: string, globals: Globals): Promise<number> {
  const say = (text: string) => {
    if (!globals.quiet && !globals.json) process.stdout.write(`${text}\n`)
  }
  const config = loadConfig(globals.config)
  const entries = await ejectAll(config, { configFile: path })
  const { ejected, left, warnings } = entries
  if (ejected.length > 0)
    say(`crontab entries that are ordinary lines of their users now: ${ejected.join(' ')}`)
  for (const text of warnings) say(`note: ${harmless(text)}`)
  for (const { id, reason } of left)
    complain(`crontab entry ${id} stays: ${reason}; then once more: agent init --remove`)
  let isStaying = false
  const listener = await withInstall(config, 'remove', (install) => install.remove()).catch(
    (error: unknown): RemoveOutcome => {
      if (isIdle(entries) || !(error instanceof Error)) throw error
      isStaying = true
      return { ...UNTOUCHED, problem: error.message }
    },
  )
  const { changed, problem } = listener
  if (isStaying)
    complain(`the event listener of supervisord stays: ${problem}; then once more: agent listener remove`)
  else {
    say(
      changed
        ? 'the event listener is removed from supervisord'
        : 'no event listener of ours was in supervisord',
    )
    if (problem) say(`but: ${problem}`)
  }
  say(`kept: ${path}, tokens and state`)
  if (globals.json) process.stdout.write(`${JSON.stringify({ config: path, listener, entries })}\n`)
  return left.length > 0 || isStaying ? 1 : 0
}

/** A failure is told whatever is asked to be quiet. */
function complain(text: string): void {
  process.stderr.write(`agent: ${harmless(text)}\n`)
}

function isIdle({ ejected, left }: EjectedEntries): boolean {
  return ejected.length === 0 && left.length === 0
}
