import { isIP } from 'node:net'

/** True for `localhost`, 127.0.0.0/8 and ::1, in brackets too: what only this host can reach. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  if (bare === 'localhost' || bare === '::1') return true
  const ipv4 = bare.replace(/^::ffff:/, '')
  return isIP(ipv4) === 4 && ipv4.startsWith('127.')
}
