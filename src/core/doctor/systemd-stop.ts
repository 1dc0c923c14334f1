import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { type Check, type Fault, UNASKED } from './check.ts'
import { type DoctorHost, word } from './host.ts'

const ASK_MS = 5_000
const DEFAULT_WAIT_SECS = 10

/** Left alone, systemd ends every process of the service at once, and those that take long by force. */
export const systemdStop = (
  { pid, discover }: DoctorHost,
  { proc = '/proc', systemctl = '/usr/bin/systemctl' } = {},
): Check => ({
  name: 'systemd-stop',
  question: 'Does systemd let supervisord end its processes in order?',
  audience: 'all-programs',
  async run() {
    const running = await pid()
    if (running === null) return UNASKED
    const unit = unitOf(await readFile(`${proc}/${running}/cgroup`, 'utf8').catch(() => ''))
    if (unit === null) return UNASKED
    const shown = await ask(systemctl, [
      'show',
      unit,
      '-p',
      'KillMode',
      '-p',
      'TimeoutStopUSec',
      '-p',
      'MainPID',
    ])
    // a session, or a service that started it by the way, says nothing of it
    if (shown === null || !shown.split('\n').includes(`MainPID=${running}`)) return UNASKED
    const { sections } = await discover()
    const waits = sections
      .filter(({ type }) => type === 'program' || type === 'fcgi-program')
      .map(({ keys }) => Number(keys.get('stopwaitsecs') ?? DEFAULT_WAIT_SECS))
    return faultsOf(shown, { unit, waitSecs: Math.max(0, ...waits.filter(Number.isFinite)) })
  },
})

function faultsOf(shown: string, { unit, waitSecs }: { unit: string; waitSecs: number }): Fault[] {
  const mode = /^KillMode=(.*)$/m.exec(shown)?.[1] ?? ''
  const time = /^TimeoutStopUSec=(.*)$/m.exec(shown)?.[1] ?? ''
  const stopSecs = secondsOf(time)
  const faults: Fault[] = []
  if (mode === 'control-group')
    faults.push({
      severity: 'warning',
      message: `${unit} has KillMode=control-group: systemd signals every process itself, and stopsignal= of programs has no effect when the host or the service stops`,
      fix: dropIn(unit, 'killmode', 'KillMode=mixed'),
    })
  if (stopSecs !== null && waitSecs > 0 && stopSecs <= waitSecs)
    faults.push({
      severity: 'warning',
      message: `${unit} is given ${stopSecs} s to end, and a program has stopwaitsecs=${waitSecs}: systemd kills it before that`,
      evidence: `TimeoutStopUSec=${time}`,
      fix: dropIn(unit, 'timeout', `TimeoutStopSec=${waitSecs + 30}`),
    })
  return faults
}

function dropIn(unit: string, name: string, line: string): string {
  const folder = `/etc/systemd/system/${unit}.d`
  return `mkdir -p ${word(folder)} && printf '[Service]\\n${line}\\n' > ${word(`${folder}/${name}.conf`)} && systemctl daemon-reload`
}

function unitOf(cgroup: string): string | null {
  return /\/([^/\n]+\.service)(?:\/[^\n]*)?$/m.exec(cgroup)?.[1] ?? null
}

/** As systemctl writes it: `1min 30s`, `infinity`. */
function secondsOf(text: string): number | null {
  const units: Readonly<Record<string, number>> = { ms: 0.001, s: 1, min: 60, h: 3600, d: 86_400 }
  let seconds = 0
  for (const part of text.split(' ')) {
    const [, count, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|min|h|d)$/.exec(part) ?? []
    if (count === undefined) return null
    seconds += Number(count) * (units[unit] ?? 0)
  }
  return seconds
}

function ask(command: string, args: readonly string[]): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(command, [...args], { timeout: ASK_MS, env: { LC_ALL: 'C' } }, (error, stdout) =>
      resolve(error ? null : stdout),
    )
  })
}
