// What a preset is, for whoever chooses one.
import type { Definition } from '../../../protocol/definition.ts'
import type { ProgramPreset } from '../../../protocol/preset.ts'
import { shownOptions } from '../../../protocol/preset-options.ts'
import { withDefaults } from '../definition.ts'
import { renderSection } from '../render.ts'
import type { PresetBook } from './book.ts'
import type { Preset } from './preset.ts'

/** A preset as the wire shows it. */
export function shownPreset(
  one: Preset,
  { book, logFolder, show }: { book: PresetBook; logFolder: string; show: boolean },
): ProgramPreset {
  const asked: Definition = { ...exampleOf(one), directory: '/srv/app', user: 'www-data' }
  const { definition, warnings } = book.expand(asked)
  return {
    preset: one.preset,
    title: one.title,
    ...shownOptions(one.options()),
    graceful: verbOf(book, asked),
    warnings,
    ...(show ? { stanza: renderSection(withDefaults(definition, logFolder)) } : {}),
  }
}

/** The smallest definition that a preset can be asked for. */
export function exampleOf({ preset, example = {} }: Preset): Definition {
  return { name: preset, preset, options: { ...example } }
}

function verbOf(book: PresetBook, asked: Definition): ProgramPreset['graceful'] {
  const verb = book.graceful(asked)
  if (verb?.by !== 'command') return verb
  return { by: 'command', argv: [...verb.argv], ...(verb.keepsPid ? { keepsPid: true } : {}) }
}
