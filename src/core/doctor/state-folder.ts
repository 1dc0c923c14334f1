import { stat, statfs } from 'node:fs/promises'
import type { Check, Fault } from './check.ts'
import { type DoctorHost, word } from './host.ts'

const MIB = 1024 * 1024
/** The journal alone may take 64 MiB. */
const LOW_BYTES = 256 * MIB
const FULL_BYTES = 16 * MIB

export const stateFolder = ({ config }: DoctorHost): Check => ({
  name: 'state-folder',
  question: "Is the agent's state private, and is there room on its disk?",
  audience: 'all-programs',
  async run() {
    const path = config.stateDir
    const stats = await stat(path).catch((error: NodeJS.ErrnoException) => error.code ?? 'unknown')
    if (typeof stats === 'string')
      return {
        severity: 'failure',
        message: `stateDir ${path} cannot be looked at (${stats})`,
        fix: `install -d -m 700 ${word(path)}`,
      }
    const faults: Fault[] = []
    const mode = stats.mode & 0o777
    if ((mode & 0o077) !== 0)
      faults.push({
        severity: 'failure',
        message: `stateDir ${path} is open to others: events, the audit and outcomes of calls are in it`,
        evidence: `mode ${mode.toString(8).padStart(4, '0')}`,
        fix: `chmod 700 ${word(path)}`,
      })
    const { bavail, bsize, files, ffree } = await statfs(path)
    return [...faults, ...room(path, { freeBytes: bavail * bsize, isOutOfFiles: files > 0 && ffree < 100 })]
  },
})

function room(path: string, disk: { freeBytes: number; isOutOfFiles: boolean }): Fault[] {
  const { freeBytes, isOutOfFiles } = disk
  if (freeBytes >= LOW_BYTES && !isOutOfFiles) return []
  return [
    {
      severity: freeBytes < FULL_BYTES || isOutOfFiles ? 'failure' : 'warning',
      message: `the disk of ${path} has ${isOutOfFiles ? 'no files' : `${Math.floor(freeBytes / MIB)} MiB`} left: keyed calls are refused and the audit cannot be written when it is full`,
      fix: `df -h ${word(path)}; df -i ${word(path)}; du -xsh ${word(path)}/*`,
    },
  ]
}
