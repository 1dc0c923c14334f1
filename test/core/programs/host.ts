import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseConfig } from '../../../src/config.ts'
import type { Principal } from '../../../src/core/access/principal.ts'
import { RunAs, usualPython } from '../../../src/core/host/run-as.ts'
import { Policy } from '../../../src/core/policy/policy.ts'
import type { PolicyRules } from '../../../src/core/policy/subject.ts'
import type { Prepared } from '../../../src/core/programs/draft.ts'
import type { Judge, Wish } from '../../../src/core/programs/prepare.ts'
import { PresetBook } from '../../../src/core/programs/presets/book.ts'
import type { Outcome } from '../../../src/core/programs/service.ts'
import { ProgramStack } from '../../../src/core/programs/stack.ts'
import { createLogger } from '../../../src/logger.ts'
import { ADMIN, type Stack, startStack } from '../../fixtures/stack.ts'
import { type Supervisord, type SupervisordOptions, supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'

interface Scope {
  teardown(task: () => unknown): void
}

export interface ProgramHost {
  stack: Stack
  programs: ProgramStack
  policy: Policy
  stateDir: string
  prepare: (wish: Wish, as?: Principal) => Promise<Prepared>
  /** Prepares and carries out. */
  change: (wish: Wish, options?: ChangeOptions) => Promise<Outcome>
  /** The configuration files by name, their content included. */
  tree: () => Record<string, string>
  pids: (program: string) => Record<string, number>
}

export interface ChangeOptions {
  as?: Principal
  verifyMs?: number
  signal?: AbortSignal
  onStep?: (text: string) => void
}

export interface ProgramOptions {
  policy?: Partial<PolicyRules>
  listener?: boolean
  presets?: PresetBook
}

/** Where a supervisord is. */
export type Place = Pick<Supervisord, 'folder' | 'url' | 'programDir' | 'logDir'>

/** A private supervisord, the part of the agent that deals with it, and the programs of both. */
export async function programHost(
  t: Scope,
  options: ProgramOptions & SupervisordOptions = {},
): Promise<ProgramHost & { host: Supervisord }> {
  const host = await supervisord(t, options)
  const stateDir = mkdtempSync(join(tmpdir(), 'sa-state-'))
  t.teardown(() => rmSync(stateDir, { recursive: true, force: true }))
  return { ...(await programsAt(t, host, { stateDir, ...options })), host }
}

/** The same on a supervisord that runs already, with the state of an earlier agent. */
export async function programsAt(
  t: Scope,
  host: Place,
  options: ProgramOptions & { stateDir: string },
): Promise<ProgramHost> {
  const { stateDir } = options
  let programs: ProgramStack | undefined
  const policy = new Policy({
    rules: { ...parseConfig('', 'test').policy, logDirectories: [host.logDir], ...options.policy },
    file: '/etc/supervisor-agent/config.yaml',
    supervisord: () => stack.stack.facts(),
  })
  const stack = await startStack(t, host, {
    listener: options.listener ?? true,
    prepare: async (made, bus) => {
      programs = new ProgramStack({
        supervisor: made,
        policy,
        presets: options.presets ?? new PresetBook([]),
        runAs: new RunAs({ folder: join(stateDir, 'tasks'), python: usualPython, isSystemd: false }),
        bus,
        stateDir,
        logFolder: host.logDir,
        logger: createLogger('silent'),
      })
      await programs.start()
    },
  })
  if (!programs) throw new Error('no programs')
  const { service } = programs
  t.teardown(() => programs?.stop())
  await until(() => stack.stack.connection.isSettled, 'supervisord to be known')
  const judgeOf = (principal: Principal): Judge => ({
    principal,
    enforce: (judging) => policy.enforce(judging),
  })
  const prepare = (wish: Wish, as: Principal = ADMIN) => service.prepare(wish, judgeOf(as))
  return {
    stack,
    programs,
    policy,
    stateDir,
    prepare,
    change: async (wish, { as = ADMIN, verifyMs, signal, onStep } = {}) =>
      await service.commit(await prepare(wish, as), {
        judge: judgeOf(as),
        verifyMs,
        signal: signal ?? new AbortController().signal,
        onProgress: (_done, _total, text) => onStep?.(text),
      }),
    tree: () =>
      Object.fromEntries(
        readdirSync(host.programDir)
          .toSorted()
          .map((name) => [name, readFileSync(join(host.programDir, name), 'utf8')]),
      ),
    pids: (program) =>
      Object.fromEntries(
        stack.stack.table
          .all()
          .flatMap((entry) =>
            entry.program === program && entry.pid !== null ? [[entry.name, entry.pid]] : [],
          ),
      ),
  }
}
