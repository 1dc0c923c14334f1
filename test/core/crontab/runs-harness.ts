import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import type { Test } from 'tap'
import { Runs, type RunsOptions } from '../../../src/core/crontab/runs.ts'
import { Spool } from '../../../src/core/crontab/spool.ts'
import { EventBus } from '../../../src/core/events/bus.ts'
import { StoredEvent } from '../../../src/core/events/stored-event.ts'
import { createLogger } from '../../../src/logger.ts'
import { scratch, spool, USER } from './shim-harness.ts'

/** The first part of this boot's id. */
export const BOOT = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8)
export const OTHER_BOOT = BOOT === '00000000' ? '11111111' : '00000000'
/** Of no process of this host. */
export const DEAD = 4_194_305

/** A spool of one user, and as many runs of the agent after another as a test wants. */
export function host(t: Test, more: Partial<RunsOptions> = {}) {
  const place = spool(t)
  const folder = join(scratch(t), 'runs')
  const begin = async () => {
    const bus = new EventBus()
    const events: Record<string, unknown>[] = []
    bus.onPublish(() => {
      const stored = bus.at(bus.seq)
      if (stored instanceof StoredEvent) events.push({ type: stored.type, ...stored.event.payload })
    })
    let log = ''
    const logger = createLogger(
      'warn',
      new Writable({
        write(chunk, _encoding, done) {
          log += String(chunk)
          done()
        },
      }),
    )
    const runs = new Runs({ folder, bus, now: Date.now, logger, ...more })
    await runs.start()
    const reader = new Spool({ root: place.root, runs, isEntry: (id) => id !== 'others', logger })
    await reader.add({ name: USER, uid: process.getuid?.() ?? 0 })
    reader.start()
    const stop = async () => {
      await reader.stop()
      runs.stop()
    }
    t.teardown(stop)
    return {
      runs,
      reader,
      stop,
      log: () => log,
      events: () => events,
      list: () => runs.list({ limit: 5000 }),
      output: async (run: string) => (await runs.outputs([run])).get(run),
    }
  }
  return { ...place, journal: folder, begin }
}

export const UP_MS = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000

/** A record as `cronrun` writes it, of a run that began a minute ago. */
export function record(
  more: { id?: string; pid?: number; boot?: string; up?: number; ticks?: string; rest?: string } = {},
) {
  const {
    id = 'job',
    pid = DEAD,
    boot = BOOT,
    up = Math.round(UP_MS / 10) - 6000,
    ticks = '1',
    rest = '',
  } = more
  const name = `${id}.${boot}.${up}.${pid}`
  const at = (seconds: number) => (up / 100 + seconds).toFixed(2)
  return {
    name,
    text: `cronrun 1 ${name} ${ticks} -\n${rest.replace(/@(\d+)/g, (_, seconds) => at(Number(seconds)))}`,
  }
}
