import { readFileSync } from 'node:fs'

/** Put in by the build; a run from source reads package.json. */
declare const AGENT_VERSION: string | undefined

export function agentVersion(): string {
  if (typeof AGENT_VERSION === 'string') return AGENT_VERSION
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
