// The agent is killed at every step of every change; the next one finds the old state or makes it so, never anything
// between. A step after the point of no return leaves the new state. Every second step here; with EVERY_STEP=1, as in
// `npm run soak -- --steps`, each.
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import t from 'tap'
import type { Wish } from '../../../src/core/programs/prepare.ts'
import { ADMIN } from '../../fixtures/stack.ts'
import { type Supervisord, supervisord } from '../../fixtures/supervisord.ts'
import { type ProgramHost, programsAt } from './host.ts'

const run = promisify(execFile)
const folder = await mkdtemp(join(tmpdir(), 'sa-crash-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))
const runner = join(folder, 'runner.mjs')
await build({
  entryPoints: [join(import.meta.dirname, 'crash-runner.ts')],
  outfile: runner,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  banner: {
    js: "import { createRequire } from 'node:module';const require = createRequire(import.meta.url);",
  },
})

const stride = process.env['EVERY_STEP'] === '1' ? 1 : 2
const sleeper = (name: string, more: object = {}) => ({
  name,
  command: '/bin/sleep 600',
  startSecs: 0,
  ...more,
})

interface Case {
  it: string
  /** What is there before. */
  given: (name: string, programs: ProgramHost, host: Supervisord) => Promise<unknown>
  wish: (name: string, programs: ProgramHost) => Promise<Wish>
}

type Test = Parameters<typeof supervisord>[0]

const cases: Case[] = [
  {
    it: 'put of a new program',
    given: async () => undefined,
    wish: async (name) => ({ action: 'put', definition: sleeper(name, { processes: 2 }) }),
  },
  {
    it: 'put over a program that was scaled',
    given: async (name, { change }) => {
      await change({ action: 'put', definition: sleeper(name, { processes: 2 }) })
      await change({ action: 'scale', name, processes: 3 })
    },
    wish: async (name) => ({
      action: 'put',
      definition: sleeper(name, { processes: 2, command: '/bin/sleep 601' }),
    }),
  },
  {
    it: 'scale up',
    given: (name, { change }) => change({ action: 'put', definition: sleeper(name, { processes: 2 }) }),
    wish: async (name) => ({ action: 'scale', name, processes: 4 }),
  },
  {
    it: 'scale down',
    given: async (name, { change }) => {
      await change({ action: 'put', definition: sleeper(name, { processes: 2 }) })
      await change({ action: 'scale', name, processes: 4 })
    },
    wish: async (name) => ({ action: 'scale', name, processes: 1 }),
  },
  {
    it: 'delete',
    given: (name, { change }) => change({ action: 'put', definition: sleeper(name, { processes: 2 }) }),
    wish: async (name) => ({ action: 'delete', name }),
  },
  {
    it: 'adopt',
    given: async (name, { stack }, host) => {
      const text = ['a', 'b']
        .map((tail) => `; ${tail}\n[program:${name}${tail}]\ncommand=/bin/sleep 600\nstartsecs=0\n`)
        .join('\n')
      writeFileSync(join(host.programDir, `hand-${name}.conf`), text)
      await host.ctl('update')
      await stack.waitState(`${name}a`, 'RUNNING')
    },
    wish: async (name) => ({ action: 'adopt', name: `${name}a` }),
  },
  {
    it: 'adopt of an edit that supervisord has not read',
    given: async (name, { change }, host) => {
      await change({ action: 'put', definition: sleeper(name) })
      const file = join(host.programDir, `agent-${name}.conf`)
      writeFileSync(file, readFileSync(file, 'utf8').replace('numprocs=1', 'numprocs=2'))
    },
    wish: async (name) => ({ action: 'adopt', name }),
  },
  {
    it: 'restore',
    given: async (name, { change }) => {
      await change({ action: 'put', definition: sleeper(name) })
      await change({ action: 'put', definition: sleeper(name, { command: '/bin/sleep 601' }) })
    },
    wish: async (name, { programs }) => {
      const revisions = await programs.service.history(name, ADMIN)
      return { action: 'restore', name, revision: revisions.at(-1)?.revision ?? '' }
    },
  },
]

await t.test('a change that was cut short', async (t) => {
  const host = await supervisord(t)
  for (const { it, given, wish } of cases)
    await t.test(it, async (t) => {
      const tag = it.replaceAll(' ', '-')
      /** Sets the scene, lets the change end at a step, and looks what the next agent makes of it. */
      const attempt = async (name: string, step?: number) => {
        const stateDir = await mkdtemp(join(folder, 'state-'))
        const first = await agent(t, host, stateDir)
        await given(name, first.programs, host)
        const before = await look(first.programs, host, name)
        const asked = await wish(name, first.programs)
        await first.stop()
        const place = { folder: host.folder, url: host.url, programDir: host.programDir, logDir: host.logDir }
        const ended = await run(process.execPath, [
          runner,
          JSON.stringify({ place, stateDir, wish: asked, step }),
        ]).then(
          ({ stdout }) => ({ signal: null, steps: Number(stdout) }),
          (error: { signal: string | null; stderr: string }) => {
            if (error.signal !== 'SIGKILL') throw new Error(error.stderr)
            return { signal: error.signal, steps: 0 }
          },
        )
        const next = await agent(t, host, stateDir)
        await next.programs.programs.recover()
        const after = await look(next.programs, host, name)
        t.strictSame(
          readdirSync(join(stateDir, 'programs', 'pending')),
          [],
          `step ${step}: nothing is left to do`,
        )
        await next.stop()
        return { before, after, ...ended }
      }
      const whole = await attempt(`${tag}w`)
      t.equal(whole.signal, null)
      t.notSame(whole.after, whole.before, 'it does something')
      let hasTurned = false
      // the last step is always among them
      const first = stride === 1 ? 1 : ((whole.steps + 1) % 2) + 1
      for (let step = first; step <= whole.steps; step += stride) {
        const { before, after, signal } = await attempt(`${tag}${step}x`, step)
        t.equal(signal, 'SIGKILL')
        t.strictSame(before, whole.before)
        const isNew = JSON.stringify(after) === JSON.stringify(whole.after)
        hasTurned ||= isNew
        t.strictSame(after, hasTurned ? whole.after : whole.before, `step ${step}: ${isNew ? 'new' : 'old'}`)
      }
      t.ok(hasTurned, 'at its end it stands')
    })
})

async function agent(t: Test, host: Supervisord, stateDir: string) {
  const undo: (() => unknown)[] = []
  const programs = await programsAt({ teardown: (task) => undo.push(task) }, host, {
    stateDir,
    listener: false,
  })
  let isStopped = false
  const stop = async () => {
    if (isStopped) return
    isStopped = true
    for (const task of undo.toReversed()) await task()
  }
  t.teardown(stop)
  return { programs, stop }
}

/** Files and processes of a program by supervisord's own word, whichever group has them; its name and revisions made alike for all. */
async function look({ stack }: ProgramHost, { programDir }: Supervisord, name: string) {
  const alike = (text: string) =>
    text.replaceAll(name, 'NAME').replaceAll(/revision [0-9a-f]{16}/g, 'revision R')
  const files = readdirSync(programDir)
    .filter((file) => file.includes(name) && !file.includes('.surge'))
    .toSorted()
    .map((file) => [alike(file), alike(readFileSync(join(programDir, file), 'utf8'))])
  await stack.stack.observer.reconcile()
  const processes = stack.stack.table
    .shown()
    .filter(({ group }) => group.startsWith(name))
    .map(({ process, state }) => `${alike(process)} ${state}`)
    .toSorted()
  return { files, processes }
}
