// How presets look on a terminal, whatever they make.
import { paint } from './paint.ts'
import { harmless, table } from './text.ts'

interface ShownPreset {
  preset: string
  title: string
  schema: Record<string, unknown>
  warnings: readonly string[]
}

/** A preset with its options; `fact` is the line below its title. */
export function presetText({ preset, title, schema, warnings }: ShownPreset, fact: string): string {
  const properties = Object.entries(schema['properties'] ?? {}) as [
    string,
    { default?: unknown; description?: string },
  ][]
  const options = table(
    ['OPTION', 'DEFAULT', ''],
    properties.map(([name, { default: byDefault, description = '' }]) => [
      name,
      byDefault === undefined ? '-' : JSON.stringify(byDefault),
      description,
    ]),
  )
  const head = `${paint('cyan', harmless(preset))}: ${harmless(title)}\n${harmless(fact)}\n`
  return [head, '\n', options, ...warnings.map(warningText)].join('')
}

export function warningText(text: string): string {
  return `${paint('yellow', 'warning')}: ${harmless(text)}\n`
}
