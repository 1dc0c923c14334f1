import type { FeedItem, Process } from '../../src/client/index.ts'

/**
 * What one subscriber to all events has seen, and whether it hangs together: every number once and in order, and every
 * change of a process from the state that it was known to have.
 */
export class Trail {
  readonly wrong: string[] = []
  events = 0
  gaps = 0
  snapshots = 0
  epoch = ''
  seq = 0
  /** Of each process, by what snapshots and events said. */
  readonly states = new Map<string, string>()
  /** After a gap nothing is known of the states until a snapshot comes. */
  #isKnown = false

  take(item: FeedItem): void {
    if (item.kind === 'snapshot') this.#restart(item.epoch, item.seq, item.processes)
    else if (item.epoch !== this.epoch) this.wrong.push(`${item.kind} of another epoch, ${item.epoch}`)
    else if (item.kind === 'gap') {
      this.#follow('gap', item.from)
      this.gaps++
      this.seq = item.to
      this.#isKnown = false
    } else {
      this.#follow(item.type, item.seq)
      this.events++
      this.seq = item.seq
      this.#apply(item)
    }
  }

  #follow(what: string, seq: number): void {
    if (seq !== this.seq + 1) this.wrong.push(`${what} ${seq} after ${this.seq}`)
  }

  #restart(epoch: string, seq: number, processes: readonly Process[]): void {
    this.snapshots++
    if (epoch === this.epoch && seq < this.seq) {
      if (!this.#isKnown) this.wrong.push(`a snapshot of ${seq} after ${this.seq}`)
      return
    }
    this.epoch = epoch
    this.seq = seq
    this.#isKnown = true
    this.states.clear()
    for (const { name, state } of processes) this.states.set(name, state)
  }

  #apply(item: Extract<FeedItem, { kind: 'event' }>): void {
    if (item.type === 'process.added') this.states.set(item.payload.process, 'STOPPED')
    else if (item.type === 'process.removed') this.states.delete(item.payload.process)
    else if (item.type === 'process.state') {
      const { process, from, to } = item.payload
      const before = this.states.get(process)
      if (this.#isKnown && before !== from)
        this.wrong.push(`${item.seq}: ${process} from ${from} to ${to}, and it was ${before}`)
      this.states.set(process, to)
    }
  }
}
