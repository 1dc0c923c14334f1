// What the daemon reads from YAML files before it starts. A bundle of its own, of which it lets go: the YAML package
// and the schema of the config are 0.7 MB that nobody needs afterwards. To be reached by with-settings.ts alone.
import { parseDocument } from 'yaml'
import { type Config, loadDaemonConfig } from './config.ts'
import { ConfigError } from './config-error.ts'
import { configWarnings } from './config-owner.ts'

/** The config and what should be put right about its folders; or why there is none, in the words for who wrote it. */
export async function readSettings(
  path: string,
): Promise<{ config: Config; warnings: string[] } | { problem: string }> {
  try {
    return { config: loadDaemonConfig(path), warnings: await configWarnings(path) }
  } catch (error) {
    if (error instanceof ConfigError) return { problem: error.message }
    throw error
  }
}

/** What a YAML text says, as plain data; or what is wrong with it. */
export function readYaml(text: string): { value: unknown } | { problem: string } {
  const document = parseDocument(text, { prettyErrors: false, stringKeys: true })
  const [broken] = [...document.errors, ...document.warnings]
  return broken ? { problem: broken.message } : { value: document.toJS({ maxAliasCount: 10 }) as unknown }
}
