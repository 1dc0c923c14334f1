import { execFile } from 'node:child_process'
import { basename } from 'node:path'
import { AgentError } from '../../protocol/errors.ts'
import type { Overlay } from './config-tree.ts'
import type { Discovery } from './discovery.ts'
import { DRY_PARSE } from './dry-parse-script.ts'

const PARSE_MS = 10_000

export type Verdict = { judged: false } | { judged: true; fault: string | null }

/**
 * Lets supervisord's own parser, under its own interpreter, user, folder and environment, judge the files as they
 * are, or with an overlay as they would be: new ones are found by the include globs, and nothing is written. Not judged
 * when one of these cannot be seen: then only a reread can tell.
 */
export async function dryParse(discovery: Discovery, overlay: Overlay = new Map()): Promise<Verdict> {
  const { supervisord, mainFile } = discovery
  if (!supervisord?.exe || !supervisord.environment || !supervisord.cwd || mainFile === null)
    return { judged: false }
  if (!/^(python|pypy)/.test(basename(supervisord.exe))) return { judged: false }
  const isOtherUser = process.getuid?.() === 0 && supervisord.uid !== 0
  const options = {
    cwd: supervisord.cwd,
    env: supervisord.environment,
    timeout: PARSE_MS,
    killSignal: 'SIGKILL',
    ...(isOtherUser ? { uid: supervisord.uid, gid: supervisord.gid } : {}),
  } as const
  const { exe } = supervisord
  return new Promise((resolve) => {
    const parser = execFile(exe, ['-c', DRY_PARSE, mainFile], options, (error, _stdout, stderr) => {
      if (!error) resolve({ judged: true, fault: null })
      // 2 is how supervisord refuses; anything else is a failure of the dry run itself.
      else if (error.code === 2) resolve({ judged: true, fault: faultIn(stderr) })
      else resolve({ judged: false })
    })
    // one that ended before it read is judged by its end
    parser.stdin?.on('error', () => {})
    parser.stdin?.end(JSON.stringify(Object.fromEntries([...overlay].map(encoded))))
  })
}

/** The text goes over stdin: what stands in argv is everybody's to see. */
function encoded([path, bytes]: readonly [string, Uint8Array | null]): [string, string | null] {
  return [path, bytes && Buffer.from(bytes).toString('base64')]
}

function faultIn(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('For help, use'))
  return lines
    .join(' ')
    .replace(/^.*?Error: /, '')
    .slice(0, 1000)
}

/** @throws {AgentError} SUPERVISOR_FAULT when supervisord would refuse the files as they are */
export async function requireSound(discovery: Discovery, what: string): Promise<Verdict> {
  const verdict = await dryParse(discovery)
  if (verdict.judged && verdict.fault !== null)
    throw new AgentError(
      'SUPERVISOR_FAULT',
      `${what}: supervisord refuses its configuration: ${verdict.fault}`,
      {
        facts: { fault: 'CANT_REREAD', text: verdict.fault },
      },
    )
  return verdict
}
