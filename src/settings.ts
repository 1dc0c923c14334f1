// What is read from YAML files, and written as YAML. A bundle of its own, of which the daemon lets go, and which most
// commands do without: the YAML package and the schema of the config are 0.7 MB. To be reached by with-settings.ts alone.
import { parse, parseDocument, stringify } from 'yaml'
import { type Config, loadConfig, loadDaemonConfig } from './config.ts'
import { ConfigError } from './config-error.ts'
import { configWarnings } from './config-owner.ts'

/** The config and what should be put right about its folders; or why there is none, in the words for who wrote it. */
export async function readSettings(
  path: string,
): Promise<{ config: Config; warnings: string[] } | { problem: string }> {
  try {
    return { config: loadDaemonConfig(path), warnings: await configWarnings(path) }
  } catch (error) {
    return problemOf(error)
  }
}

/** Where the sockets of the agent are; or why the config does not say it. */
export function readRunDir(path?: string): { runDir: string } | { problem: string } {
  try {
    return { runDir: loadConfig(path).listen.runDir }
  } catch (error) {
    return problemOf(error)
  }
}

/** What a file of a person says; what is thrown shows them the place. */
export function readBody(text: string): unknown {
  return parse(text)
}

export function writeYaml(value: unknown): string {
  return stringify(value)
}

/** What a YAML text says, as plain data; or what is wrong with it. */
export function readYaml(text: string): { value: unknown } | { problem: string } {
  const document = parseDocument(text, { prettyErrors: false, stringKeys: true })
  const [broken] = [...document.errors, ...document.warnings]
  return broken ? { problem: broken.message } : { value: document.toJS({ maxAliasCount: 10 }) as unknown }
}

function problemOf(error: unknown): { problem: string } {
  if (error instanceof ConfigError) return { problem: error.message }
  throw error
}
