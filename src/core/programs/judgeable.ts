import type { ProgramDefinition, ResolvedProgram } from '../policy/subject.ts'
import { readEnvironment } from '../supervisor/config-environment.ts'
import type { ConfigSection } from '../supervisor/config-file.ts'
import { IniDocument } from './ini/document.ts'
import { sectionOf } from './program-state.ts'

/** The part of a section that bears on policy, as it stands there; without a log file supervisord makes one. */
export function judgeable(name: string, { keys }: ConfigSection): ProgramDefinition {
  const whole = (key: string, fallback: number) => {
    const value = keys.get(key)?.trim() ?? ''
    return /^\d{1,9}$/.test(value) ? Number(value) : fallback
  }
  return {
    name,
    command: keys.get('command') ?? '',
    directory: keys.get('directory'),
    user: keys.get('user'),
    environment: variablesOf(keys.get('environment') ?? ''),
    processes: whole('numprocs', 1),
    numprocsStart: whole('numprocs_start', 0),
    redirectStderr: /^(?:true|yes|on|1)$/i.test(keys.get('redirect_stderr')?.trim() ?? ''),
    stdoutLogfile: keys.get('stdout_logfile') ?? 'AUTO',
    stderrLogfile: keys.get('stderr_logfile') ?? 'AUTO',
  }
}

/** The file of a program with what the policy resolved in place of what was asked for. */
export function asResolved(name: string, text: string, resolved: ResolvedProgram): string {
  const document = IniDocument.parse(text)
  const { keys } = sectionOf(name, text)
  const put = (key: string, value: string | null, was: string | undefined) => {
    if (value !== null && value !== was) document.set(`program:${name}`, key, value)
  }
  put('command', resolved.command, keys.get('command') ?? '')
  put('directory', resolved.directory, keys.get('directory'))
  put('stdout_logfile', resolved.stdoutLogfile, keys.get('stdout_logfile') ?? 'AUTO')
  put('stderr_logfile', resolved.stderrLogfile, keys.get('stderr_logfile') ?? 'AUTO')
  return document.text
}

/** The names of its variables. Where places of supervisord hide how it will split them, all that may be one. */
function variablesOf(text: string): Record<string, string> {
  const read = readEnvironment(text.replaceAll('%%', '%'))
  const names = read
    ? [...read.keys()]
    : [...text.matchAll(/([A-Za-z_]\w*)\s*=/g)].map(([, name = '']) => name)
  return Object.fromEntries(names.map((name) => [name, '']))
}
