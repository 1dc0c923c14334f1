import { type Check, UNASKED } from './check.ts'
import { type DoctorAgent, type DoctorHost, word } from './host.ts'

/** As long as it takes to dial again a few times. */
const PATIENCE_MS = 60_000

export const panelLink = ({ config, configFile }: DoctorHost, { panel }: DoctorAgent): Check => ({
  name: 'panel-link',
  question: 'Is the panel connected?',
  run() {
    const { state, since, lastClose } = panel()
    if (state === 'off') return UNASKED
    if (state === 'connected' || lastClose === undefined) return null
    const { code, reason, at } = lastClose
    return {
      severity: Date.now() - Date.parse(since) > PATIENCE_MS ? 'failure' : 'warning',
      message: `the panel is not connected since ${since}: ${reason}`,
      evidence: `last tried at ${at}${code === undefined ? ', no connection came about' : `, ended with close code ${code}: ${meaningOf(code)}`}`,
      fix: fixOf(config.panel, { code, reason, configFile }),
    }
  },
})

function meaningOf(code: number): string {
  return MEANINGS[code] ?? 'the panel has the reason in its log'
}

const MEANINGS: Readonly<Record<number, string>> = {
  1000: 'the panel ended it in order',
  1001: 'the panel goes away',
  1006: 'the connection broke without a word: a proxy, a firewall or the panel ended it',
  1008: 'one side broke the rules of the handshake: are both of one version?',
  1009: 'a frame was too big for the panel',
  1011: 'the panel failed',
  1012: 'the panel restarts',
  1013: 'the panel has too much to do',
  4401: 'the panel does not know the credential of this agent, or has revoked it',
}

function fixOf(
  panel: DoctorHost['config']['panel'],
  { code, reason, configFile }: { code: number | undefined; reason: string; configFile: string },
): string {
  const { url, tokenFile, joinTokenFile } = panel
  if (code === 4401 || /credential|join token/i.test(reason))
    return `rm -f ${word(tokenFile)}; editor ${word(joinTokenFile || configFile)}; systemctl restart supervisor-agent`
  const { hostname, host, port, protocol } = new URL(url)
  const to = port === '' ? `${hostname}:${protocol === 'wss:' ? 443 : 80}` : host
  if (/pin|fingerprint|certificate/i.test(reason))
    return `openssl s_client -connect ${word(to)} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256; grep -n pin ${word(configFile)}`
  return `curl -skI --max-time 5 ${word(`${protocol === 'wss:' ? 'https' : 'http'}://${to}/`)}; journalctl -u supervisor-agent -n 20`
}
