// The host's own `crontab`: the only way in which crontabs are written, and the second judge of what goes into one.
import { execFile } from 'node:child_process'
import { AgentError } from '../../protocol/errors.ts'

/** cronie keeps a copy of what it replaces in the home of the caller, where there is one. */
const ENV = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
  HOME: '/nonexistent',
}
const TIMEOUT_MS = 20_000
const FLAVOUR_MS = 60_000

export type Flavour = 'debian' | 'cronie' | 'unknown'

interface Outcome {
  code: number
  stderr: string
  stdout: string
}

export class CrontabCommand {
  readonly #argv: readonly [string, ...string[]]
  #flavour: { is: Flavour; atMs: number } | null = null

  /** @param options.argv how it is called */
  constructor(options: { argv?: readonly [string, ...string[]] } = {}) {
    this.#argv = options.argv ?? ['crontab']
  }

  /** @throws {AgentError} CRON_UNAVAILABLE when there is none */
  async flavour(): Promise<Flavour> {
    if (this.#flavour && performance.now() - this.#flavour.atMs < FLAVOUR_MS) return this.#flavour.is
    const { code, stdout, stderr } = await this.#call(['-V'])
    const is = code === 0 ? 'cronie' : /busybox/i.test(stdout + stderr) ? 'unknown' : 'debian'
    this.#flavour = { is, atMs: performance.now() }
    return is
  }

  /** @throws {AgentError} CRON_UNAVAILABLE with what `crontab` says */
  async install(user: string, bytes: Buffer): Promise<void> {
    const outcome = await this.#call(['-u', user, '-'], bytes)
    if (outcome.code !== 0) throw refused(user, outcome)
  }

  /** @throws {AgentError} CRON_UNAVAILABLE with what `crontab` says */
  async remove(user: string): Promise<void> {
    const outcome = await this.#call(['-u', user, '-r'])
    if (outcome.code !== 0 && !/no crontab for/.test(outcome.stderr)) throw refused(user, outcome)
  }

  #call(args: readonly string[], input?: Buffer): Promise<Outcome> {
    const [command, ...before] = this.#argv
    const options = { env: ENV, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' } as const
    return new Promise((resolve, reject) => {
      const child = execFile(command, [...before, ...args], options, (error, stdout, stderr) => {
        const code = error?.code ?? 0
        if (typeof code === 'number' && !error?.killed) resolve({ code, stdout, stderr })
        else if (code === 'ENOENT')
          reject(
            unavailable('no-crontab', 'there is no crontab program on this host: install cron or cronie'),
          )
        else reject(unavailable('failed', `crontab did not end as it should: ${String(code)}`))
      })
      // it may end before it has read all
      child.stdin?.on('error', () => undefined).end(input)
    })
  }
}

export function unavailable(reason: string, text: string, facts: Record<string, unknown> = {}): AgentError {
  return new AgentError('CRON_UNAVAILABLE', text, { facts: { ...facts, reason } })
}

/** Standard error is no sign of failure, its status is: cronie writes notes there. */
function refused(user: string, { code, stderr }: Outcome): AgentError {
  const said = stderr.trim().split('\n').slice(0, 3).join('; ').slice(0, 300)
  if (/cannot use this program|not allowed/.test(stderr))
    return unavailable('not-allowed', `${user} may not have a crontab here (cron.allow, cron.deny)`, { user })
  if (/user .* unknown|unknown user/.test(stderr))
    return unavailable('unknown-user', `cron knows no user ${user}`, { user })
  return unavailable('refused', `crontab refused the crontab of ${user}: ${said || `status ${code}`}`, {
    user,
  })
}
