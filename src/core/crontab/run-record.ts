// What `cronrun` leaves of a run (docs/adr/0006-crontab-block.md). Its user can write anything in its place.

/** How far a run has come, and what is known of its end. */
export type RunStage =
  | { stage: 'started' }
  | { stage: 'skipped' }
  /** Its output may still be held open by what it left behind. */
  | ({ stage: 'exited' } & RunEnd)
  | ({ stage: 'ended'; output: Buffer } & RunEnd)

export interface RunEnd {
  /** Milliseconds since the boot. */
  endUpMs: number
  /** As a shell counts: 128 and a number for a signal. */
  status: number
  /** Its time was up. */
  isLate: boolean
}

export type RunRecord = {
  /** Name of the run. */
  run: string
  /** Of the entry. */
  id: string
  /** The first part of the boot id. */
  boot: string
  /** Milliseconds from the boot to its start. */
  upMs: number
  /** The process of `cronrun`, and when it began in clock ticks since the boot. */
  pid: number
  startTicks: string
  /** By whom it was asked for when not by cron. */
  tag: string | null
} & RunStage

/** No record is larger. */
export const RECORD_BYTES = 20 * 1024

const NAME = /^([A-Za-z0-9][A-Za-z0-9_-]{0,31})\.([0-9a-f]{8})\.(\d{1,15})\.(\d{1,10})$/
const ON_THE_WAY = /\.(?:new|out|fifo)$/
const LOCK = /\.lock(?:\.take|\.new)?$/
const HEAD = /^cronrun 1 (\S{1,64}) (\d{1,20}) ([A-Za-z0-9-]{1,64})\n/
const SKIPPED = /^skipped \d{1,12}\.\d\d\n$/
const EXITED = /^exited (\d{1,12}\.\d\d) (\d{1,3}) ([01])\n$/
const ENDED = /\nended (\d{1,12}\.\d\d) (\d{1,3}) ([01])\n$/
const LINE_END = 0x0a
/** Longer than any last line. */
const TAIL_BYTES = 64

/** What a name in a user's folder of the spool stands for. */
export type SpoolName =
  | { kind: 'record' | 'on-the-way'; boot: string; upMs: number; pid: number }
  | { kind: 'lock' }
  | { kind: 'foreign' }

export function parseName(name: string): SpoolName {
  if (LOCK.test(name)) return { kind: 'lock' }
  const base = name.replace(ON_THE_WAY, '')
  const [, , boot, up, pid] = NAME.exec(base) ?? []
  if (boot === undefined) return { kind: 'foreign' }
  return { kind: base === name ? 'record' : 'on-the-way', boot, upMs: Number(up) * 10, pid: Number(pid) }
}

/** @returns null for what `cronrun` cannot have written under that name */
export function parseRecord(name: string, bytes: Buffer): RunRecord | null {
  const [, id, boot, up, pid] = NAME.exec(name) ?? []
  const head = HEAD.exec(bytes.toString('latin1', 0, 256))
  if (id === undefined || boot === undefined || head?.[1] !== name) return null
  const stage = stageOf(bytes.subarray(head[0].length))
  const [, , startTicks = '', tag = '-'] = head
  return (
    stage && {
      run: name,
      id,
      boot,
      upMs: Number(up) * 10,
      pid: Number(pid),
      startTicks,
      tag: tag === '-' ? null : tag,
      ...stage,
    }
  )
}

function stageOf(rest: Buffer): RunStage | null {
  // a full disk may have cut the second line short
  if (rest.length <= TAIL_BYTES && rest.at(-1) !== LINE_END) return { stage: 'started' }
  // it counts from the end: output may hold such lines as well
  const tail = rest.toString('latin1', Math.max(0, rest.length - TAIL_BYTES))
  const ended = ENDED.exec(tail)
  if (ended)
    return { stage: 'ended', output: rest.subarray(0, rest.length - ended[0].length), ...endOf(ended) }
  const exited = rest.length <= TAIL_BYTES ? EXITED.exec(tail) : null
  if (exited) return { stage: 'exited', ...endOf(exited) }
  return rest.length <= TAIL_BYTES && SKIPPED.test(tail) ? { stage: 'skipped' } : null
}

function endOf([, up, status, late]: RegExpExecArray): RunEnd {
  return { endUpMs: Math.round(Number(up) * 1000), status: Number(status), isLate: late === '1' }
}
