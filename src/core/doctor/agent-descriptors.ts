import { readdir, readFile } from 'node:fs/promises'
import { type Check, UNASKED } from './check.ts'

const NEAR = 0.8

/** @param proc where the kernel shows this process */
export const agentDescriptors = (proc = '/proc/self'): Check => ({
  name: 'agent-descriptors',
  question: 'Has the agent file descriptors to spare?',
  async run() {
    const [open, limits] = await Promise.all([readdir(`${proc}/fd`), readFile(`${proc}/limits`, 'utf8')])
    const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1]
    if (soft === undefined) return UNASKED
    if (open.length < Number(soft) * NEAR) return null
    return {
      severity: 'warning',
      message: `the agent has ${open.length} of ${soft} file descriptors in use: connections are dropped when none is left`,
      fix: "mkdir -p /etc/systemd/system/supervisor-agent.service.d && printf '[Service]\\nLimitNOFILE=65536\\n' > /etc/systemd/system/supervisor-agent.service.d/nofile.conf && systemctl daemon-reload && systemctl restart supervisor-agent",
    }
  },
})
