import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { commandHost } from '../../../src/cli/commands/doctor-host.ts'
import { parseConfig } from '../../../src/config.ts'
import { type Check, type Fault, UNASKED } from '../../../src/core/doctor/check.ts'
import type { DoctorAgent, DoctorHost } from '../../../src/core/doctor/host.ts'
import { SupervisorRpc } from '../../../src/core/supervisor/rpc.ts'

interface Test {
  teardown(undo: () => unknown): void
}

/** A host in a folder of its own; `at` gives it anew, as the next run of the doctor sees it. */
export function host(t: Test, url = 'unix:///nowhere/supervisor.sock') {
  const folder = mkdtempSync(join(tmpdir(), 'dr-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = (name: string) => join(folder, name)
  for (const name of ['state', 'spool', 'run', 'log']) mkdirSync(path(name), { mode: 0o700 })
  const at = (
    extra: { supervisor?: object; listen?: object; panel?: object; policy?: object } = {},
  ): DoctorHost => {
    const text = JSON.stringify({
      stateDir: path('state'),
      spoolDir: path('spool'),
      tokensFile: path('tokens.json'),
      supervisor: { url, ...extra.supervisor },
      listen: { runDir: path('run'), port: 'off', ...extra.listen },
      panel: extra.panel ?? {},
      policy: { logDirectories: [path('log')], ...extra.policy },
    })
    const config = parseConfig(text, path('config.yaml'))
    const rpc = new SupervisorRpc(config.supervisor)
    t.teardown(() => rpc.close())
    return commandHost(config, path('config.yaml'), rpc)
  }
  return { path, at }
}

/** What a check found; a list always. */
export async function found(check: Check): Promise<readonly Fault[] | typeof UNASKED> {
  const answer = await check.run()
  if (answer === null) return []
  if (answer === UNASKED) return UNASKED
  return 'severity' in answer ? [answer] : answer
}

export const AGENT: DoctorAgent = {
  listener: () => ({ connected: true, lost: 0 }),
  hasExitStatuses: () => true,
  orphans: () => [],
  panel: () => ({ state: 'off', since: '2026-11-22T09:00:00.000Z' }),
  isJournalBehind: () => false,
}
