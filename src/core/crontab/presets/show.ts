// What a preset is, for whoever chooses one.
import type { EntryDefinition } from '../../../protocol/entry.ts'
import type { CrontabPreset } from '../../../protocol/preset.ts'
import { shownOptions } from '../../../protocol/preset-options.ts'
import { invalidEntry } from '../refusals.ts'
import { expandEntry, presetOf, unknownPreset } from './expand.ts'
import { ENTRY_PRESETS } from './index.ts'
import type { EntryPreset } from './preset.ts'

/** All presets, or the one of that name. @throws {AgentError} ENTRY_INVALID */
export function shownPresets(name: string | undefined, show: boolean): CrontabPreset[] {
  if (name === undefined) return ENTRY_PRESETS.map((one) => shownPreset(one, show))
  const one = presetOf(name)
  if (!one) throw invalidEntry('the preset', [unknownPreset(name)])
  return [shownPreset(one, show)]
}

function shownPreset(one: EntryPreset, show: boolean): CrontabPreset {
  const { entry, warnings } = expandEntry(exampleOf(one))
  const { name: _name, user: _user, enabled: _enabled, options: _options, preset, command, ...rest } = entry
  const { schedule = one.schedule, noOverlap, timeoutMs, splayMs } = rest
  return {
    preset: preset ?? one.preset,
    title: one.title,
    schedule,
    ...(noOverlap === undefined ? {} : { noOverlap }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(splayMs === undefined ? {} : { splayMs }),
    ...shownOptions(one.options()),
    warnings,
    ...(show && command !== undefined ? { command } : {}),
  }
}

/** The smallest entry that a preset can be asked for. */
export function exampleOf({ preset, title, example = {} }: EntryPreset): EntryDefinition {
  return { name: title, user: 'www-data', enabled: true, preset, options: { ...example } }
}
