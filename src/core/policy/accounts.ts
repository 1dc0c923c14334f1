import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'

/** A system user. */
export interface Account {
  name: string
  uid: number
  gid: number
  home: string
}

const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?$/
/** What Python reads as a number although it does not look like one to us. */
const ODD_NUMBER = /^\d[\d_]*_[\d_]*$/
const GETENT_MS = 5000

/** The system users of this host, asked for each time: one who is gone is not found any more. */
export class Accounts {
  readonly #file: string

  constructor(options: { file?: string } = {}) {
    this.#file = options.file ?? '/etc/passwd'
  }

  /** By name or, as supervisord takes it too, by number; null when there is none. */
  async find(user: string | number): Promise<Account | null> {
    const wanted = String(user)
    if (!NAME.test(wanted) || ODD_NUMBER.test(wanted)) return null
    const text = await readFile(this.#file, 'utf8').catch(() => '')
    const isNumber = /^\d+$/.test(wanted)
    const isWanted = ({ name, uid }: Account) => (isNumber ? uid === Number(wanted) : name === wanted)
    return accountsOf(text).find(isWanted) ?? accountsOf(await getent(wanted)).find(isWanted) ?? null
  }
}

function accountsOf(text: string): Account[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', , uid = '', gid = '', , home = ''] = line.split(':')
    return name !== '' && /^\d+$/.test(uid) && /^\d+$/.test(gid)
      ? [{ name, uid: Number(uid), gid: Number(gid), home }]
      : []
  })
}

/** Users that come from a directory service are not in the file. */
function getent(user: string): Promise<string> {
  return new Promise((resolve) => {
    const options = { timeout: GETENT_MS, env: { LC_ALL: 'C' } }
    execFile('/usr/bin/getent', ['passwd', user], options, (error, stdout) => resolve(error ? '' : stdout))
  })
}
