import { execFile } from 'node:child_process'
import { basename } from 'node:path'
import { AgentError } from '../../protocol/errors.ts'
import type { Discovery } from './discovery.ts'

const PARSE_MS = 10_000

/** Parses as supervisord would at its start, without effect. Its folder is not searched for modules. */
const DRY_PARSE = `import sys
sys.path = [p for p in sys.path if p not in ('', '.')]
from supervisor.options import ServerOptions
options = ServerOptions()
options.realize(['-c', sys.argv[1]])`

export type Verdict = { judged: false } | { judged: true; fault: string | null }

/**
 * Lets supervisord's own parser, under its own interpreter, user, folder and environment, judge the files as they
 * are. Not judged when one of these cannot be seen: then only a reread can tell.
 */
export async function dryParse(discovery: Discovery): Promise<Verdict> {
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
    execFile(exe, ['-c', DRY_PARSE, mainFile], options, (error, _stdout, stderr) => {
      if (!error) resolve({ judged: true, fault: null })
      // 2 is how supervisord refuses; anything else is a failure of the dry run itself.
      else if (error.code === 2) resolve({ judged: true, fault: faultIn(stderr) })
      else resolve({ judged: false })
    })
  })
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
