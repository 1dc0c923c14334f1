import { AgentError } from '../../protocol/errors.ts'
import type { Check } from './check.ts'
import { type DoctorHost, word } from './host.ts'

const START = 'systemctl start supervisor || systemctl start supervisord'

export const supervisorSocket = ({ config, configFile, rpc }: DoctorHost): Check => ({
  name: 'supervisor-socket',
  question: 'Does supervisord answer where the config says?',
  async run() {
    const { url, username } = config.supervisor
    try {
      await rpc.call('supervisor.getState', [], { deadlineMs: 5_000 })
      return null
    } catch (error) {
      const reason = error instanceof AgentError ? String(error.facts['reason']) : ''
      return {
        severity: 'failure',
        message: `supervisord cannot be asked: ${error instanceof Error ? error.message : String(error)}`,
        evidence: `supervisor.url in ${configFile} is ${url}${username === '' ? '' : `, supervisor.username ${username}`}`,
        fix: fixOf(reason, { url, configFile }),
      }
    }
  },
})

function fixOf(reason: string, { url, configFile }: { url: string; configFile: string }): string {
  const path = url.startsWith('unix://') ? url.slice('unix://'.length) : null
  switch (reason) {
    case 'login':
      return `grep -rE '^(username|password)' /etc/supervisor* && editor ${word(configFile)}`
    case 'no-permission':
      return `ls -l ${word(path ?? '')}; ps -o user,args -C supervisord`
    case 'hung':
      return 'systemctl restart supervisor || systemctl restart supervisord'
    case 'garbage':
      return `grep -r -A2 _http_server /etc/supervisor*; editor ${word(configFile)}`
    default:
      return path === null ? START : `${START}; grep -rs -A2 unix_http_server /etc/supervisor*`
  }
}
