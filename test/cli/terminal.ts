import { execFile } from 'node:child_process'
import { AGENT, type Outcome } from '../fixtures/agent-process.ts'
import { supervisorCommand } from '../fixtures/supervisor-command.ts'

const PTY = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))'

/** Runs the built command on a terminal of its own; what it wrote, errors too, is in `stdout`. */
export function onTerminal(args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const { python, env } = supervisorCommand()
    execFile(
      python,
      ['-c', PTY, process.execPath, AGENT, ...args],
      { env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', TERM: 'xterm', ...env } },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })
}
