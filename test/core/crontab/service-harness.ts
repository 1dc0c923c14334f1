import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { parseConfig } from '../../../src/config.ts'
import { LOCAL_ADMIN } from '../../../src/core/access/local-principals.ts'
import type { Principal } from '../../../src/core/access/principal.ts'
import type { Judge, Wish } from '../../../src/core/crontab/prepare.ts'
import { type CronPlaces, CrontabStack } from '../../../src/core/crontab/stack.ts'
import { EventBus } from '../../../src/core/events/bus.ts'
import { StoredEvent } from '../../../src/core/events/stored-event.ts'
import { RunAs } from '../../../src/core/host/run-as.ts'
import { Accounts } from '../../../src/core/policy/accounts.ts'
import { Policy } from '../../../src/core/policy/policy.ts'
import { createLogger } from '../../../src/logger.ts'
import type { EntryDefinition } from '../../../src/protocol/entry.ts'
import { CronHost } from '../../fixtures/crontab.ts'

/** Somebody who may have entries of alice. */
export const DEPLOYER: Principal = {
  ...LOCAL_ADMIN,
  actor: 'token:deployer',
  id: 'deployer00',
  scopes: new Set(['read', 'cron']),
  users: ['alice'],
  isAbovePolicy: false,
  isRemote: true,
}

/** Where that cron is, as it is seen from outside. */
export function placesOf(host: CronHost): CronPlaces {
  return {
    folders: [host.inside('/var/spool/cron/crontabs')],
    crontab: [...host.under(), 'crontab'],
    passwd: join(host.etc, 'passwd'),
    shadow: join(host.etc, 'shadow'),
    pidFile: join(host.folder, 'no-cron.pid'),
  }
}

/** The crontabs of a cron of their own, and the agent's part beside them. */
export async function crontabs(t: Test, more: { cronDrift?: 'report' | 'enforce'; policy?: object } = {}) {
  const host = await CronHost.start(t)
  const bus = new EventBus()
  const stateDir = join(host.folder, 'state')
  mkdirSync(stateDir, { mode: 0o700 })
  const passwd = join(host.etc, 'passwd')
  const policy = new Policy({
    rules: { ...parseConfig('', 'test').policy, users: ['alice', 'bob'], ...more.policy },
    file: '/etc/supervisor-agent/config.yaml',
    supervisord: async () => ({ uid: null, searchPath: null }),
    accounts: new Accounts({ file: passwd }),
  })
  /** Another start of the agent; perhaps with another `spoolDir`. */
  const begin = async (spoolDir = join(host.folder, 'spool')) => {
    const stack = new CrontabStack({
      policy,
      bus,
      stateDir,
      spoolDir,
      cronDrift: more.cronDrift ?? 'report',
      runAs: new RunAs({ folder: join(stateDir, 'tasks'), python: () => null, isSystemd: false }),
      now: Date.now,
      logger: createLogger('silent'),
      places: placesOf(host),
    })
    t.teardown(() => stack.stop())
    await stack.start()
    return stack
  }
  const stack = await begin()
  const judge = (principal: Principal): Judge => ({
    principal,
    enforce: (judging) => policy.enforce(judging),
  })
  const prepare = (wish: Wish, who = DEPLOYER) => stack.service.prepare(wish, judge(who))
  const apply = async (wish: Wish, who = DEPLOYER) => stack.service.commit(await prepare(wish, who), who)
  return {
    host,
    stack,
    begin,
    spoolDir: join(host.folder, 'spool'),
    stateDir,
    service: stack.service,
    prepare,
    apply,
    judge,
    put: async (entry: Partial<EntryDefinition> = {}, who = DEPLOYER) => {
      const { entry: made } = await apply({ action: 'put', entry: definition(entry) }, who)
      if (!made?.id) throw new Error('no entry came of a put')
      return { ...made, id: made.id }
    },
    body: (user = 'alice') => bodyOf(host.spooled(user)),
    events: (type: string) => eventsOf(bus).filter((event) => event['type'] === type),
  }
}

export function definition(entry: Partial<EntryDefinition> = {}): EntryDefinition {
  return { name: 'Job', user: 'alice', schedule: '5 4 * * *', command: '/bin/true', enabled: true, ...entry }
}

/** Without the three lines of Debian's `crontab`. */
function bodyOf(bytes: Buffer | null): string | null {
  return bytes && bytes.toString('latin1').replace(/^(?:#[^\n]*\n){3}/, '')
}

function eventsOf(bus: EventBus): Record<string, unknown>[] {
  const events: Record<string, unknown>[] = []
  for (let seq = bus.oldestSeq; seq <= bus.seq; seq++) {
    const stored = bus.at(seq)
    if (stored instanceof StoredEvent) events.push({ type: stored.type, ...stored.event.payload })
  }
  return events
}
