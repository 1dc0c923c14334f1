import { type Config, loadConfig } from '../../config.ts'
import { ConfigError } from '../../config-error.ts'
import { configWarnings } from '../../config-owner.ts'
import { DEFAULT_CONFIG } from '../../config-path.ts'
import { LOCAL_ADMIN } from '../../core/access/local-principals.ts'
import type { Check, Fault } from '../../core/doctor/check.ts'
import { hostChecks } from '../../core/doctor/index.ts'
import { examine, findingsFor } from '../../core/doctor/run.ts'
import { systemdStop } from '../../core/doctor/systemd-stop.ts'
import { SupervisorRpc } from '../../core/supervisor/rpc.ts'
import type { Finding } from '../../protocol/doctor.ts'
import { agentVersion } from '../../version.ts'
import { deadlineOf, type Globals, openClient } from '../globals.ts'
import { renderFindings } from '../print-findings.ts'
import { commandHost } from './doctor-host.ts'

/** What the agent says of its host; or why it does not. */
type Asked = { version: string; findings: Finding[] } | Error

/**
 * Looks for what is wrong, on this host with or without a running agent, or on another by asking its agent.
 * @returns 0 when nothing was found, else 1
 */
export async function doctorCommand(options: { verbose?: boolean }, globals: Globals): Promise<number> {
  const isOther = globals.url !== undefined || globals.socket !== undefined
  const findings = isOther ? (await ask(globals)).findings : await examineHere(globals)
  process.stdout.write(globals.json ? `${JSON.stringify({ findings })}\n` : renderFindings(findings, options))
  return findings.every(({ severity }) => severity === 'ok') ? 0 : 1
}

async function examineHere(globals: Globals): Promise<Finding[]> {
  const path = globals.config ?? DEFAULT_CONFIG
  const config = configOf(path)
  const asked = config instanceof Error ? config : await ask(globals).catch(asError)
  const checks = [configFile(config, path), agentItself(asked)]
  const rpc = config instanceof Error ? null : new SupervisorRpc(config.supervisor)
  try {
    if (rpc !== null && !(config instanceof Error)) {
      const host = commandHost(config, path, rpc)
      checks.push(systemdStop(host))
      if (asked instanceof Error) checks.push(...hostChecks(host))
    }
    const own = findingsFor(await examine(checks), LOCAL_ADMIN)
    return byRank([...own, ...(asked instanceof Error ? [] : asked.findings)])
  } finally {
    rpc?.close()
  }
}

async function ask(globals: Globals): Promise<Exclude<Asked, Error>> {
  const client = await openClient(globals, { reconnect: false })
  try {
    const options = { mutates: false, ...deadlineOf(globals) }
    const { version } = await client.call('agent.info', {}, options)
    const { findings } = await client.call('agent.doctor', {}, options)
    return { version, findings }
  } finally {
    await client.close()
  }
}

function configOf(path: string): Config | ConfigError {
  try {
    return loadConfig(path)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
}

const configFile = (config: Config | Error, path: string): Check => ({
  name: 'config-file',
  question: 'Can the config of the agent be read, and can root alone change it?',
  async run() {
    if (config instanceof Error)
      return {
        severity: 'failure',
        message: `the agent does not start with this config: ${config.message}`,
        fix: `agent --config ${path} config check`,
      }
    return (await configWarnings(path)).map((message): Fault => ({ severity: 'warning', message }))
  },
})

const agentItself = (asked: Asked): Check => ({
  name: 'agent',
  question: 'Does the agent run, in the version of this command?',
  run() {
    if (asked instanceof Error)
      return {
        severity: 'failure',
        message: `the agent cannot be asked, so only some questions are: ${asked.message}`,
        fix: 'systemctl restart supervisor-agent; journalctl -u supervisor-agent -n 20 --no-pager',
      }
    const version = agentVersion()
    if (asked.version === version) return null
    return {
      severity: 'warning',
      message: `the agent that runs is version ${asked.version}, this command is ${version}`,
      fix: 'systemctl restart supervisor-agent; systemctl cat supervisor-agent | grep ExecStart; command -v agent',
    }
  },
})

function byRank(findings: readonly Finding[]): Finding[] {
  const rank = { failure: 0, warning: 1, ok: 2 }
  return findings.toSorted((a, b) => rank[a.severity] - rank[b.severity])
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
