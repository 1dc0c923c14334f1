import { ClientAddresses } from './core/access/client-address.ts'

/** What is wrong with an address of supervisord, without the address itself: it may hold a password. */
export function urlProblem(url: string): string | null {
  if (/^unix:\/\/\/\S+$/.test(url)) return null
  if (/^http:\/\/.*@/.test(url)) return 'expected no @: use supervisor.username and supervisor.password'
  const port = /^http:\/\/(?:[^\s/?#:[\]]+|\[[\da-f:.]+\]):(\d+)\/?$/i.exec(url)?.[1]
  if (port === undefined || (Number(port) <= 65_535 && !URL.canParse(url)))
    return 'expected unix:///path/of.sock or http://host:port'
  return Number(port) >= 1 && Number(port) <= 65_535 ? null : 'expected a port from 1 to 65535'
}

/** True for what `listen.trustedProxies` takes: an address or a CIDR range. */
export function isNetwork(text: string): boolean {
  try {
    return new ClientAddresses({ trustedProxies: [text] }) instanceof ClientAddresses
  } catch {
    return false
  }
}
