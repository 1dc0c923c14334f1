import { randomBytes } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Text that stands nowhere else. */
export const mark = () => `Mark${randomBytes(10).toString('hex')}`
/** The part of a token that is secret. */
const secretOf = (token: string) => token.slice('agt_'.length + 11)
/** What is hidden, by where it was put; and what was produced, by what it is. */
export class Search {
  readonly #hidden = new Map<string, string>()
  readonly #allowed = new Map<string, RegExp>()
  readonly #produced = new Map<string, string>()

  plant(where: string, secret = mark()): string {
    this.#hidden.set(where, secret)
    return secret
  }

  /** What is no secret where it belongs, such as in the audit, and has no business elsewhere. */
  plantFor(allowed: RegExp, where: string, secret?: string): string {
    this.#allowed.set(where, allowed)
    return this.plant(where, secret)
  }

  plantToken(where: string, token: string): string {
    this.plant(where, secretOf(token))
    return token
  }

  collect(what: string, text: string): void {
    this.#produced.set(what, `${this.#produced.get(what) ?? ''}${text}\n`)
  }

  collectFiles(what: string, folder: string): void {
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      const path = join(folder, name)
      this.collect(`the names of ${what}`, name)
      if (lstatSync(path).isFile()) this.collect(`${what}: ${name}`, readFileSync(path, 'latin1'))
    }
  }

  /** Title, arguments and environment of a process. */
  collectProcess(what: string, pid: number): void {
    for (const file of ['cmdline', 'comm', 'environ'])
      try {
        this.collect(`${what}: ${file}`, readFileSync(`/proc/${pid}/${file}`, 'latin1'))
      } catch {
        // it has ended
      }
  }

  size(what: string): number {
    return this.#produced.get(what)?.length ?? 0
  }

  /** Each secret that is somewhere, plain or in base64. */
  found(): string[] {
    return [...this.#produced].flatMap(([what, text]) =>
      [...this.#hidden]
        .filter(([where]) => !this.#allowed.get(where)?.test(what))
        .filter(([, secret]) => text.includes(secret) || text.includes(btoa(secret).slice(2, -4)))
        .map(([where]) => `${where}, in ${what}`),
    )
  }
}
