import type { Definition } from '../../../protocol/definition.ts'
import { readOptions } from '../../../protocol/preset-options.ts'
import type { DefinitionIssue } from '../../../protocol/program.ts'
import { invalid } from '../definition.ts'
import type { Graceful, Preset } from './preset.ts'

/** A definition with its preset worked out. */
export interface Expanded {
  definition: Definition
  issues: DefinitionIssue[]
  warnings: string[]
}

/** The presets of this host by name. */
export class PresetBook {
  readonly #presets: ReadonlyMap<string, Preset>

  constructor(presets: readonly Preset[]) {
    this.#presets = new Map(presets.map((one) => [one.preset, one]))
  }

  all(): Preset[] {
    return [...this.#presets.values()]
  }

  /** @throws {AgentError} PROGRAM_INVALID */
  need(name: string): Preset {
    const found = this.#presets.get(name)
    if (found) return found
    throw invalid([this.#unknown(name)])
  }

  /** Works out a definition. What it says itself stands, whatever the preset would make. */
  expand(definition: Definition): Expanded {
    const { preset: name, options = {}, ...own } = definition
    if (name === undefined) {
      const issues = Object.keys(options).length > 0 ? [NO_PRESET] : []
      return { definition, issues, warnings: [] }
    }
    const preset = this.#presets.get(name)
    if (!preset) return { definition, issues: [this.#unknown(name)], warnings: [] }
    const read = readOptions(preset.options(), options, `agent program presets ${name}`)
    if (read.options === null) return { definition, issues: read.issues, warnings: [] }
    const built = preset.build(read.options, definition)
    const whole = { ...built, ...own }
    if (built.environment) whole.environment = { ...built.environment, ...own.environment }
    return { definition: whole, issues: [], warnings: preset.warnings?.(read.options, whole) ?? [] }
  }

  /** How a program of that definition takes up new code; null when it is stopped and started. */
  graceful(definition: Definition): Graceful | null {
    const preset = this.#presets.get(definition.preset ?? '')
    if (!preset?.graceful) return null
    const { options } = readOptions(preset.options(), definition.options)
    return options && preset.graceful(options, definition)
  }

  #unknown(name: string): DefinitionIssue {
    const known = [...this.#presets.keys()].join(', ') || 'none'
    return { path: 'preset', message: `there is no preset ${name}; there are: ${known}` }
  }
}

const NO_PRESET = { path: 'options', message: 'options belong to a preset, and none is named' }
