import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { Slots } from '../../lib/slots.ts'

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

/** Processes at a time; who asks for many names waits. */
const GETENTS = 4
const MISS_MS = 5_000
const MISSES = 1_000

/**
 * The system users of this host, asked for each time: one who is gone is not found any more. That there is none of a
 * name holds for some seconds.
 */
export class Accounts {
  readonly #file: string
  readonly #slots = new Slots(GETENTS)
  readonly #asking = new Map<string, Promise<string>>()
  readonly #missedAtMs = new Map<string, number>()

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
    return accountsOf(text).find(isWanted) ?? accountsOf(await this.#getent(wanted)).find(isWanted) ?? null
  }

  /** Users that come from a directory service are not in the file. The same question is asked once at a time. */
  async #getent(user: string): Promise<string> {
    if (performance.now() - (this.#missedAtMs.get(user) ?? -Infinity) < MISS_MS) return ''
    const asking = this.#asking.get(user) ?? this.#ask(user).finally(() => this.#asking.delete(user))
    this.#asking.set(user, asking)
    return await asking
  }

  async #ask(user: string): Promise<string> {
    const giveBack = await this.#slots.take(new AbortController().signal)
    try {
      const text = await getent(user)
      if (this.#missedAtMs.size >= MISSES) this.#missedAtMs.clear()
      if (text === '') this.#missedAtMs.set(user, performance.now())
      else this.#missedAtMs.delete(user)
      return text
    } finally {
      giveBack()
    }
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

function getent(user: string): Promise<string> {
  return new Promise((resolve) => {
    const options = { timeout: GETENT_MS, env: { LC_ALL: 'C' } }
    execFile('/usr/bin/getent', ['passwd', user], options, (error, stdout) => resolve(error ? '' : stdout))
  })
}
