import * as z from 'zod'
import type { ProgramDefinition } from '../policy/subject.ts'
import { parsed } from './process-info.ts'
import type { ProgramIndex } from './program-index.ts'

/** The part of `getAllConfigInfo` that bears on policy; `none` and `auto` stand for what is not set. */
const ConfigInfo = z.object({
  name: z.string(),
  group: z.string(),
  uid: z.union([z.int(), z.literal('none')]),
  command: z.string(),
  redirect_stderr: z.boolean(),
  stdout_logfile: z.string(),
  stderr_logfile: z.string(),
})

/**
 * What supervisord would run, process by process, as it has read its files. Each is named by its program; expansions
 * are done already, so that a percent sign is one.
 */
export function definitionsOf(
  answer: unknown,
  index: ProgramIndex,
): { group: string; definition: ProgramDefinition }[] {
  const infos = parsed(z.array(ConfigInfo), answer)
  return infos.map(({ name, group, uid, command, ...logs }) => ({
    group,
    definition: {
      name: index.lookup(group, name).program,
      command,
      ...(uid === 'none' ? {} : { user: String(uid) }),
      redirectStderr: logs.redirect_stderr,
      stdoutLogfile: logs.stdout_logfile.replaceAll('%', '%%'),
      stderrLogfile: logs.stderr_logfile.replaceAll('%', '%%'),
    },
  }))
}
