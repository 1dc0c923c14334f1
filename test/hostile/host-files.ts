import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import * as z from 'zod'

/** What the agent and its listener keep below a host's folder; times of last use change in the file of tokens. */
const OWN = /^(?:state|run|spool|shim|tokens\.json(?:\.lock)?|log\/supervisor-agent-stderr\S*)(?:\/|$)/
const Tokens = z.looseObject({ tokens: z.array(z.looseObject({ lastUsedAt: z.string().optional() })) })

/** Every file of a host but the agent's own, with kind, mode and content, and its tokens but for their last use. */
export function hostFiles(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => relative(folder, join(folder, name)))
    .filter((name) => !OWN.test(name))
    .toSorted()
    .map((name) => {
      const path = join(folder, name)
      const { mode } = lstatSync(path)
      const isFile = (mode & 0o170_000) === 0o100_000
      const digest = isFile ? createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 16) : ''
      return `${name} ${mode.toString(8)} ${digest}`
    })
  const { tokens } = Tokens.parse(JSON.parse(readFileSync(join(folder, 'tokens.json'), 'utf8')))
  return [...files, ...tokens.map(({ lastUsedAt: _lastUsedAt, ...token }) => JSON.stringify(token))]
}
