import type { EntryDefinition } from '../../../protocol/entry.ts'
import { readOptions } from '../../../protocol/preset-options.ts'
import type { EntryIssue } from '../entry-validation.ts'
import { ENTRY_PRESETS } from './index.ts'
import type { EntryPreset } from './preset.ts'

/** An entry with its preset worked out. */
export interface Expanded {
  entry: EntryDefinition
  issues: EntryIssue[]
  warnings: string[]
}

/** Null when there is none of that name. */
export function presetOf(name: string): EntryPreset | null {
  return ENTRY_PRESETS.find(({ preset }) => preset === name) ?? null
}

export function unknownPreset(name: string): EntryIssue {
  const known = ENTRY_PRESETS.map(({ preset }) => preset).join(', ')
  return { path: 'preset', message: `there is no preset ${name}; there are: ${known}` }
}

/** Works out an entry. What it says itself stands, whatever its preset would make. */
export function expandEntry(entry: EntryDefinition): Expanded {
  const { preset: name, options = {} } = entry
  const refused = (...issues: EntryIssue[]) => ({ entry, issues, warnings: [] })
  if (name === undefined)
    return Object.keys(options).length > 0
      ? refused({ path: 'options', message: 'they are for a preset, and there is none' })
      : { entry, issues: [], warnings: [] }
  const preset = presetOf(name)
  if (!preset) return refused(unknownPreset(name))
  const read = readOptions(preset.options(), options, `agent cron presets ${name}`)
  if (read.options === null) return refused(...read.issues)
  const whole = { schedule: preset.schedule, ...preset.build(read.options), ...entry }
  return { entry: whole, issues: [], warnings: preset.warnings?.(read.options) ?? [] }
}
