import { randomBytes } from 'node:crypto'
import { link, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises'
import { sleep } from '../../lib/sleep.ts'
import { AgentError } from '../../protocol/errors.ts'

/** How often a waiting writer looks again. */
const POLL_MS = 20
/** A lock file without a readable owner is half-written at first, abandoned after this. */
const UNREADABLE_MS = 10_000

interface Owner {
  pid: number
  /** Start of that process in clock ticks since boot: a pid alone may have been given again. */
  startTicks: string
  nonce: string
}

/**
 * Runs a task while no other process that takes the same lock runs one. The lock is a file made with O_EXCL;
 * one whose process is gone is taken over.
 * @param signal ends the wait for it, with its reason
 * @throws {AgentError} TIMEOUT when somebody else holds it for longer than `timeoutMs`; `facts.begun` is false
 */
export async function withFileLock<T>(
  path: string,
  task: () => Promise<T>,
  timeoutMs = 10_000,
  signal?: AbortSignal,
): Promise<T> {
  const nonce = await acquire(path, timeoutMs, signal)
  try {
    return await task()
  } finally {
    if ((await readOwner(path))?.nonce === nonce) await unlink(path).catch(() => undefined)
  }
}

async function acquire(path: string, timeoutMs: number, signal?: AbortSignal): Promise<string> {
  const nonce = randomBytes(8).toString('hex')
  const me: Owner = { pid: process.pid, startTicks: await startTicksOf(process.pid), nonce }
  const deadline = performance.now() + timeoutMs
  for (;;) {
    if (await create(path, me)) return nonce
    const seen = await readOwner(path)
    if (await isAbandoned(path, seen)) await takeAway(path, seen)
    else if (performance.now() > deadline)
      throw new AgentError('TIMEOUT', `${path} is held by process ${seen?.pid ?? 'unknown'}`, {
        facts: { lock: path, timeoutMs, begun: false },
      })
    else await sleep(POLL_MS, signal)
  }
}

async function create(path: string, owner: Owner): Promise<boolean> {
  try {
    await writeFile(path, JSON.stringify(owner), { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Removes exactly the lock that was judged: two who judge at once must not remove each other's new one. */
async function takeAway(path: string, judged: Owner | null): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString('hex')}`
  try {
    await rename(path, aside)
  } catch {
    return // somebody else was quicker
  }
  const taken = await readOwner(aside)
  if (taken !== null && taken.nonce !== judged?.nonce) await link(aside, path).catch(() => undefined)
  await unlink(aside)
}

async function isAbandoned(path: string, owner: Owner | null): Promise<boolean> {
  if (owner !== null) return !(await isAlive(owner))
  const age = await stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => 0,
  )
  return age > UNREADABLE_MS
}

async function readOwner(path: string): Promise<Owner | null> {
  try {
    const { pid, startTicks, nonce } = JSON.parse(await readFile(path, 'utf8')) as Partial<Owner>
    return typeof pid === 'number' && typeof startTicks === 'string' && typeof nonce === 'string'
      ? { pid, startTicks, nonce }
      : null
  } catch {
    return null
  }
}

async function isAlive({ pid, startTicks }: Owner): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const ticks = await startTicksOf(pid)
  return ticks === '' || ticks === startTicks
}

/** Empty when /proc does not show it. */
async function startTicksOf(pid: number): Promise<string> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8')
    // the second field, the command in parentheses, may hold anything
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}
