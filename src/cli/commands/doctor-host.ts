// This host as the command sees it by itself, with no agent to ask.
import * as z from 'zod'
import type { Config } from '../../config.ts'
import { type DoctorHost, once, type SeenProcess } from '../../core/doctor/host.ts'
import { cronDaemon } from '../../core/host/cron-daemon.ts'
import { LogService } from '../../core/logs/service.ts'
import { discover } from '../../core/supervisor/discovery.ts'
import { nameOf, ProcessInfo, parsed } from '../../core/supervisor/process-info.ts'
import { OWN_GROUP } from '../../core/supervisor/program-index.ts'
import { indexPrograms } from '../../core/supervisor/program-index-files.ts'
import type { SupervisorRpc } from '../../core/supervisor/rpc.ts'
import { ownPid } from './listener.ts'

const ASK_MS = 5_000
const TAIL_BYTES = 4096
const TAIL_LINES = 20

export function commandHost(config: Config, configFile: string, rpc: SupervisorRpc): DoctorHost {
  const pid = once(() =>
    rpc.call('supervisor.getPID', [], { deadlineMs: ASK_MS }).then(
      (answer) => parsed(z.int(), answer),
      () => null,
    ),
  )
  const files = once(async () => {
    const answered = await pid()
    return await discover({ ...config.supervisor, pid: answered === null ? null : ownPid(answered) })
  })
  const logs = new LogService()
  const processes = once(async (): Promise<SeenProcess[]> => {
    const infos = parsed(
      z.array(ProcessInfo),
      await rpc.call('supervisor.getAllProcessInfo', [], { deadlineMs: ASK_MS }),
    )
    const programs = indexPrograms(await files())
    return infos
      .filter(({ group }) => group !== OWN_GROUP)
      .map((info) => ({
        name: nameOf(info.group, info.name),
        program: programs.lookup(info.group, info.name).program,
        state: info.statename,
        pid: info.pid || null,
        spawnError: info.spawnerr || null,
        isCrashLoop: false,
        logTail: () => endOf(info.stderr_logfile) ?? endOf(info.stdout_logfile),
      }))
  })
  const endOf = (path: string) => (path === '' ? null : logs.lastLines(path, TAIL_BYTES, TAIL_LINES))
  return { config, configFile, rpc, pid, discover: files, processes, cron: cronDaemon }
}
