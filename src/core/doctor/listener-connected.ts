import { type Check, UNASKED } from './check.ts'
import type { DoctorAgent, DoctorHost } from './host.ts'

export const listenerConnected = ({ pid }: DoctorHost, { listener }: DoctorAgent): Check => ({
  name: 'listener-connected',
  question: 'Do the events of supervisord reach the agent, all of them?',
  async run() {
    if ((await pid()) === null) return UNASKED
    const { connected, lost } = listener()
    if (!connected)
      return {
        severity: 'warning',
        message: 'no event listener is connected: the agent compares states instead, and misses short ones',
        fix: 'agent listener status; agent listener install',
      }
    if (lost === 0) return null
    return {
      severity: 'warning',
      message: `supervisord dropped ${lost} events since the agent started: its buffer for the listener was full`,
      fix: 'agent listener install',
    }
  },
})
