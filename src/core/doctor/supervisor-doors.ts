import { stat } from 'node:fs/promises'
import type { ConfigSection } from '../supervisor/config-file.ts'
import { type Check, type Fault, UNASKED } from './check.ts'
import { type DoctorHost, word } from './host.ts'

const LOOPBACK = /^(?:127\.\d+\.\d+\.\d+|localhost|\[::1\])$/

/** Whoever can call supervisord can start what its files name, as the users that they name. */
export const supervisorDoors = ({ config, discover }: DoctorHost): Check => ({
  name: 'supervisor-doors',
  question: 'Can only those drive supervisord who should?',
  audience: 'all-programs',
  async run() {
    const { sections, mainFile } = await discover()
    const path = config.supervisor.url.startsWith('unix://') ? config.supervisor.url.slice(7) : null
    const stats = path === null ? null : await stat(path).catch(() => null)
    if (mainFile === null && stats === null) return UNASKED
    const faults = sections
      .filter(({ header }) => header.startsWith('inet_http_server'))
      .flatMap((section) => portFault(section) ?? [])
    const login = sections.find(({ header }) => header === 'unix_http_server')?.keys.get('password')
    if (path !== null && stats !== null && (stats.mode & 0o002) !== 0 && login === undefined)
      faults.push({
        severity: 'failure',
        message: `every user of this host can drive supervisord: ${path} is open to all and asks for no password`,
        evidence: `mode ${(stats.mode & 0o777).toString(8).padStart(4, '0')}`,
        fix: `chmod 0700 ${word(path)}${mainFile === null ? '' : ` && grep -n '^chmod' ${word(mainFile)}`}`,
      })
    return faults
  },
})

function portFault({ keys, file, line, places }: ConfigSection): Fault | null {
  const port = keys.get('port') ?? ''
  const host = port.includes(':') ? port.slice(0, port.lastIndexOf(':')) : ''
  const isLocal = LOOPBACK.test(host)
  const hasPassword = (keys.get('password') ?? '') !== ''
  const at = places.get('port') ?? { file, line }
  const evidence = `${at.file}:${at.line}: port=${port}`
  const fix = `editor +${at.line} ${word(at.file)}`
  if (hasPassword && isLocal) return null
  if (hasPassword)
    return {
      severity: 'warning',
      message: `supervisord listens on ${port} without TLS: its password can be read on the way; bind it to 127.0.0.1`,
      evidence,
      fix,
    }
  return {
    severity: isLocal ? 'warning' : 'failure',
    message: isLocal
      ? `every user of this host can drive supervisord on ${port}: [inet_http_server] has no password`
      : `everybody who reaches ${port} can drive supervisord: [inet_http_server] has no password`,
    evidence,
    fix,
  }
}
