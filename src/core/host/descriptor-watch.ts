// A process without a free descriptor takes no connection and opens no file. Connections that come then are closed by the
// runtime, which tells nobody, and what needs a file fails here and there: this says it once, with the way out.
import { closeSync, openSync } from 'node:fs'
import { seldom } from '../../lib/seldom.ts'
import type { Logger } from '../../logger.ts'

const LOOK_MS = 1_000
const SAY_AGAIN_MS = 60_000

const WAY_OUT: Readonly<Record<string, string>> = {
  EMFILE:
    'no file descriptor is left: connections are dropped and files cannot be opened. Raise LimitNOFILE= of ' +
    'supervisor-agent.service (systemctl edit supervisor-agent), or find who holds so many connections',
  ENFILE:
    'this host has no file descriptor left: connections are dropped and files cannot be opened. Raise fs.file-max ' +
    '(sysctl), or find the process that holds so many; LimitNOFILE= bounds one process',
}

export class DescriptorWatch {
  readonly #tell: (code: string, text: string) => void
  #timer: NodeJS.Timeout | undefined

  constructor({ logger }: { logger: Logger }) {
    this.#tell = seldom(SAY_AGAIN_MS, (code, text) => logger.warn({ code }, text))
  }

  start(): void {
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Takes a descriptor and gives it back. */
  #look(): void {
    try {
      closeSync(openSync('/dev/null', 'r'))
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : ''
      const text = WAY_OUT[code]
      if (text !== undefined) this.#tell(code, text)
    }
  }
}
