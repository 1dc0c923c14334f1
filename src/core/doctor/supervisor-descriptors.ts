import { readFile } from 'node:fs/promises'
import { type Check, UNASKED } from './check.ts'
import { type DoctorHost, word } from './host.ts'

/** Pipes and log files of one process, and what supervisord needs besides. */
const EACH = 5
const OWN = 40
const NEAR = 0.8
const DEFAULT_MINFDS = 1024

export const supervisorDescriptors = ({ discover, pid, processes }: DoctorHost): Check => ({
  name: 'supervisor-descriptors',
  question: 'Has supervisord enough file descriptors for all its processes?',
  audience: 'all-programs',
  async run() {
    const running = await pid()
    if (running === null) return UNASKED
    const { sections, mainFile } = await discover()
    const main = sections.find(({ header }) => header === 'supervisord')
    const minfds = Number(main?.keys.get('minfds') ?? DEFAULT_MINFDS)
    const limit = (await openFilesLimit(running)) ?? minfds
    const count = (await processes()).length
    const needed = OWN + EACH * count
    if (needed <= limit * NEAR) return null
    const wanted = 2 ** Math.ceil(Math.log2(needed * 2))
    return {
      severity: needed > limit ? 'failure' : 'warning',
      message: `${count} processes can need ${needed} file descriptors of supervisord, and it may open ${limit}: starts then fail with "too many open files"`,
      evidence: `minfds=${minfds}`,
      fix:
        mainFile === null
          ? `prlimit --nofile=${wanted} --pid ${running}`
          : fixIn(mainFile, { wanted, running }),
    }
  },
})

function fixIn(file: string, { wanted, running }: { wanted: number; running: number }): string {
  return `sed -i -e '/^minfds/d' -e '/^\\[supervisord\\]/a minfds=${wanted}' ${word(file)} && prlimit --nofile=${wanted}:${wanted} --pid ${running}`
}

async function openFilesLimit(pid: number): Promise<number | null> {
  const text = await readFile(`/proc/${pid}/limits`, 'utf8').catch(() => '')
  const soft = /^Max open files\s+(\d+)/m.exec(text)?.[1]
  return soft === undefined ? null : Number(soft)
}
