import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Config } from './config.ts'
import { isLoopback } from './transports/loopback.ts'

type Panel = Config['panel']
type Problem = { key: keyof Panel; text: string } | null

/** What is wrong with the address of a panel, without the address itself: it may hold a password. */
export function panelUrlProblem(text: string): string | null {
  if (text === '') return null
  const url = URL.canParse(text) ? new URL(text) : null
  if (url?.protocol !== 'wss:' && url?.protocol !== 'ws:') return 'expected wss://host:port'
  if (url.username !== '' || url.password !== '') return 'expected no @: the credential is in panel.tokenFile'
  if (url.search !== '' || url.hash !== '') return 'expected an address without ? and #'
  if (url.protocol === 'ws:' && !isLoopback(url.hostname))
    return 'expected wss://, since ws:// is for a panel on this host: the credential could be read on the way'
  return null
}

/** What a panel that is dialled needs beside its address. */
export function panelProblem({ url, tokenFile, joinTokenFile, pin }: Panel): Problem {
  if (url === '') return null
  if (tokenFile === '') return { key: 'url', text: 'needs panel.tokenFile, where the credential is kept' }
  if (joinTokenFile === tokenFile)
    return { key: 'joinTokenFile', text: 'expected another file than panel.tokenFile' }
  if (pin === '' && url.startsWith('wss:'))
    return { key: 'url', text: "needs panel.pin, the fingerprint of the panel's certificate" }
  if (pin !== '' && url.startsWith('ws:'))
    return { key: 'pin', text: 'expected none: ws:// shows no certificate' }
  return null
}

/**
 * Finds out whether the credential could be kept. That there is none yet is no fault of the config: the agent waits
 * for one.
 */
export function panelFilesProblem({ url, tokenFile }: Panel): Problem {
  if (url === '') return null
  const folder = dirname(tokenFile)
  const isFolder = statSync(folder, { throwIfNoEntry: false })?.isDirectory() ?? false
  return isFolder ? null : { key: 'tokenFile', text: `${folder}: expected a folder that is there` }
}
