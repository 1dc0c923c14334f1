// Presets of the host's own, read once at the start.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { readConfigText } from './config-owner.ts'
import type { Preset } from './core/programs/presets/preset.ts'
import { userPreset } from './core/programs/presets/user-preset.ts'
import type { Logger } from './logger.ts'
import type { readYaml } from './settings.ts'

const FILES_MAX = 200
const REASONS_MAX = 3

interface Reading {
  known: readonly Preset[]
  readYaml: typeof readYaml
  logger: Logger
}

/**
 * The presets in the YAML files of a folder. One that is none is told in the log and left out, and so is one whose name
 * another has.
 */
export function readPresets(folder: string, { known, readYaml, logger }: Reading): Preset[] {
  const names = new Set(known.map((one) => one.preset))
  const presets: Preset[] = []
  for (const file of filesIn(folder, logger)) {
    const leave = (reason: string) => logger.warn({ file, reason }, 'a preset was left out')
    try {
      const text = readConfigText(file, { asDaemon: true, holds: 'what programs run is' })
      const yaml = readYaml(text)
      const read = 'problem' in yaml ? { problems: [yaml.problem] } : userPreset(yaml.value)
      if ('problems' in read) leave(read.problems.slice(0, REASONS_MAX).join('; '))
      else if (names.has(read.made.preset)) leave(`preset: another one has the name ${read.made.preset}`)
      else {
        names.add(read.made.preset)
        presets.push(read.made)
      }
    } catch (error) {
      leave(error instanceof Error ? error.message : String(error))
    }
  }
  return presets
}

function filesIn(folder: string, logger: Logger): string[] {
  try {
    const names = readdirSync(folder).filter((name) => /^[^.].*\.ya?ml$/.test(name))
    return names
      .toSorted((a, b) => (a < b ? -1 : 1))
      .slice(0, FILES_MAX)
      .map((name) => join(folder, name))
  } catch (error) {
    logger.warn({ folder, err: error }, 'presetsDir cannot be read: there are no presets of your own')
    return []
  }
}
