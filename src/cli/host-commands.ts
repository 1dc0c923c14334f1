// The commands that look at this host, or change it, themselves: a bundle of its own, since they need parts of the daemon
// and most calls need none of them.
import { verifyCommand } from './commands/audit-verify.ts'
import { checkConfig } from './commands/config-check.ts'
import { doctorCommand } from './commands/doctor.ts'
import { initCommand } from './commands/init.ts'
import { listenerCommand } from './commands/listener.ts'
import { createToken } from './commands/token-create.ts'
import type { Globals } from './globals.ts'
import { report } from './report.ts'

const COMMANDS = { verifyCommand, checkConfig, doctorCommand, initCommand, listenerCommand, createToken }

/**
 * Runs one of them. What goes wrong is told here, since another bundle does not know these errors.
 * @returns the exit status
 */
export async function runOnHost(
  run: (commands: typeof COMMANDS) => Promise<number>,
  { json = false }: Globals,
): Promise<number> {
  try {
    return await run(COMMANDS)
  } catch (error) {
    return report(error, { isJson: json })
  }
}
