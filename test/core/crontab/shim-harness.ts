import { execFileSync, type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Test } from 'tap'

export const SHIM = resolve(import.meta.dirname, '../../../assets/cronrun')
/** What cron gives a job; the folder of its records is named by LOGNAME. */
export const USER = 'alice'

export interface Shell {
  name: string
  argv: string[]
  /** Where it finds its tools. */
  path: string
  /** Its tools can undo what a shell does to background jobs. */
  clearsSignals: boolean
}

function isThere(program: string): boolean {
  return spawnSync(program, ['true'], { stdio: 'ignore' }).error === undefined
}

/** Every shell of this host that may be its /bin/sh, with the tools that would come with it. */
export function shells(t: Test): Shell[] {
  const all: Shell[] = []
  const path = '/usr/bin:/bin'
  if (isThere('dash')) all.push({ name: 'dash', argv: ['dash'], path, clearsSignals: true })
  if (isThere('bash')) all.push({ name: 'bash', argv: ['bash', '--posix'], path, clearsSignals: true })
  if (isThere('busybox')) {
    const tools = scratch(t)
    execFileSync('busybox', ['--install', '-s', tools])
    all.push({ name: 'busybox', argv: [join(tools, 'sh')], path: tools, clearsSignals: false })
  }
  return all
}

/** A folder of its own, open to every user. */
export function scratch(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'cr-'))
  chmodSync(folder, 0o755)
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A spool with the folder of one user. */
export function spool(t: Test): { root: string; folder: string; records: () => string[] } {
  const root = scratch(t)
  const folder = join(root, USER)
  mkdirSync(folder, { mode: 0o700 })
  const isRecord = (name: string) => /^[\w-]+\.[0-9a-f]{8}\.\d+\.\d+$/.test(name)
  return { root, folder, records: () => readdirSync(folder).filter(isRecord) }
}

/** A folder with links to some programs only. */
export function toolsWithout(t: Test, ...missing: string[]): string {
  const folder = scratch(t)
  const needed = ['cat', 'env', 'flock', 'mkfifo', 'mv', 'rm', 'setsid', 'sleep', 'tail', 'tee', 'unshare']
  for (const name of needed.filter((one) => !missing.includes(one))) {
    const program = ['/usr/bin', '/bin'].map((at) => join(at, name)).find((path) => existsSync(path))
    if (program !== undefined) symlinkSync(program, join(folder, name))
  }
  return folder
}

export interface Ended {
  status: number | null
  signal: NodeJS.Signals | null
  stdout: Buffer
  stderr: Buffer
}

export function start(argv: readonly string[], options: SpawnOptions & { path?: string } = {}) {
  const [program = '', ...args] = argv
  const child = spawn(program, args, {
    env: { HOME: '/', LOGNAME: USER, PATH: options.path ?? '/usr/bin:/bin', SHELL: '/bin/sh' },
    ...options,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const { stdin, stdout, stderr } = child
  if (!stdin || !stdout || !stderr) throw new Error('no pipes')
  const out: Buffer[] = []
  const err: Buffer[] = []
  stdout.on('data', (chunk: Buffer) => out.push(chunk))
  stderr.on('data', (chunk: Buffer) => err.push(chunk))
  stdin.on('error', () => undefined)
  // not `close`: whoever the job left behind may hold the pipes
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  const closed = once(child, 'close')
  return {
    pid: child.pid ?? 0,
    stdin,
    exited,
    out: () => Buffer.concat(out),
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    ended: async (input: string | Buffer = ''): Promise<Ended> => {
      stdin.end(input)
      const [status, signal] = await exited
      await closed
      return { status, signal, stdout: Buffer.concat(out), stderr: Buffer.concat(err) }
    },
  }
}

/** Runs a command to its end. */
export function run(
  argv: readonly string[],
  options?: SpawnOptions & { path?: string; input?: string | Buffer },
) {
  return start(argv, options).ended(options?.input)
}

/** The lines of a record, its output as `latin1`. */
export function readRecord(path: string): { head: string; output: string; end: string } {
  const text = readFileSync(path, 'latin1')
  const head = text.slice(0, text.indexOf('\n'))
  const end = text.slice(text.lastIndexOf('\n', text.length - 2) + 1, -1)
  return {
    head,
    output: text.slice(head.length + 1, Math.max(head.length + 1, text.length - end.length - 2)),
    end,
  }
}
