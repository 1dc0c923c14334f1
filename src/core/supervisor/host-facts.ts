import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import type { Discovery } from './discovery.ts'
import type { HostFacts } from './verdict-keys.ts'

const GETENT_MS = 5000

/** The users of this host. */
export interface Users {
  find(user: string | number): Promise<{ uid: number } | null>
}

/** What the running supervisord would find on this host. Each question is asked once. */
export function hostFacts({ supervisord }: Discovery, users: Users): HostFacts {
  return {
    isFolder: once(isFolder),
    findUser: once((user: string | number) => users.find(user)),
    hasGroup: once(hasGroup),
    cwd: supervisord?.cwd ?? null,
    home: supervisord?.environment?.['HOME'] ?? null,
    seesVariables: supervisord?.environment !== undefined && supervisord.environment !== null,
  }
}

function once<K, V>(ask: (key: K) => Promise<V>): (key: K) => Promise<V> {
  const known = new Map<K, Promise<V>>()
  return (key) => {
    const answer = known.get(key) ?? ask(key)
    known.set(key, answer)
    return answer
  }
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

async function hasGroup(group: string | number): Promise<boolean> {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(String(group))) return false
  const lines = (await readFile('/etc/group', 'utf8').catch(() => '')).split('\n')
  const isListed = lines.some((line) => line.split(':')[typeof group === 'number' ? 2 : 0] === String(group))
  return isListed || (await getent(String(group)))
}

/** Groups that come from a directory service are not in the file. */
function getent(group: string): Promise<boolean> {
  return new Promise((resolve) => {
    const options = { timeout: GETENT_MS, env: { LC_ALL: 'C' } }
    execFile('/usr/bin/getent', ['group', group], options, (error) => resolve(error === null))
  })
}
