import type { Principal } from '../core/access/principal.ts'
import { atMost } from '../lib/at-most.ts'
import type { Logger } from '../logger.ts'
import type { Services } from '../methods/context.ts'
import { CLOSE } from '../protocol/limits.ts'
import { AnswerRoom } from './answer-room.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { Limits } from './limits.ts'
import type { Link, LinkUser } from './link.ts'
import { Session } from './session.ts'

const SWEEP_MS = 1_000
const LAST_ANSWERS_MS = 1_500
/** Takes what still comes over a link that was refused. */
const NOBODY: LinkUser = {
  receive: () => undefined,
  inputEnded: () => undefined,
  drained: () => undefined,
  closed: () => undefined,
}

/** All sessions of the agent, whatever they came over. */
export class SessionServer {
  readonly #services: Services
  readonly #dispatcher: Dispatcher
  readonly #limits: Limits
  readonly #logger: Logger
  readonly #room: AnswerRoom
  readonly #sessions = new Set<Session>()
  /** Closed ones with calls that go on. */
  readonly #leftBehind = new Set<Session>()
  #undo: (() => void)[] = []
  #timers: NodeJS.Timeout[] = []
  #isStopping = false

  constructor(deps: { services: Services; dispatcher: Dispatcher; limits: Limits; logger: Logger }) {
    this.#services = deps.services
    this.#dispatcher = deps.dispatcher
    this.#limits = deps.limits
    this.#logger = deps.logger
    this.#room = new AnswerRoom(deps.limits)
  }

  get count(): number {
    return this.#sessions.size
  }

  start(): void {
    const { bus, tokens } = this.#services
    this.#undo = [
      bus.onPublish(() => {
        for (const session of this.#sessions) session.pump()
      }),
      tokens.onChange(() => {
        for (const session of [...this.#sessions, ...this.#leftBehind]) session.rightsChanged()
      }),
    ]
    const sweep = setInterval(() => {
      const nowMs = performance.now()
      for (const session of this.#sessions) session.look(nowMs)
    }, SWEEP_MS)
    const bookmarks = setInterval(() => {
      for (const session of this.#sessions) session.bookmark()
    }, this.#limits.bookmarkMs)
    this.#timers = [sweep, bookmarks]
  }

  /**
   * Gives every call that runs its last answer, also those whose caller has left; transports close the links after. A
   * call that does not end at once when it is told to has a moment to come to its own end.
   */
  async stop(): Promise<void> {
    this.#isStopping = true
    const sessions = [...this.#sessions, ...this.#leftBehind]
    await atMost(LAST_ANSWERS_MS, Promise.all(sessions.map((session) => session.shutDown())))
    for (const session of sessions) session.giveUp()
    for (const undo of this.#undo) undo()
    for (const timer of this.#timers) clearInterval(timer)
  }

  /** Takes over a link that proved who it is; an agent that stops closes it. */
  open(link: Link, principal: Principal): LinkUser {
    if (this.#isStopping) {
      link.close(CLOSE.restarting, 'restarting')
      return NOBODY
    }
    const session = new Session({
      link,
      principal,
      services: this.#services,
      dispatcher: this.#dispatcher,
      limits: this.#limits,
      room: this.#room,
      logger: this.#logger,
      onClosed: (closed) => this.#closed(closed),
    })
    this.#sessions.add(session)
    session.start()
    return session
  }

  #closed(session: Session): void {
    this.#sessions.delete(session)
    this.#leftBehind.add(session)
    void session.ended().then(() => this.#leftBehind.delete(session))
  }
}
