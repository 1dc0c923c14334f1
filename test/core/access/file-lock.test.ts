import { spawnSync } from 'node:child_process'
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { withFileLock } from '../../../src/core/access/file-lock.ts'
import { folder } from './support.ts'

const noop = async () => undefined

await t.test('only one task at a time holds a lock', async (t) => {
  const path = join(await folder(t), 'lock')
  let inside = 0
  let most = 0
  const task = async () => {
    most = Math.max(most, ++inside)
    await new Promise((resolve) => setImmediate(resolve))
    inside--
  }
  await Promise.all(Array.from({ length: 20 }, () => withFileLock(path, task)))
  t.equal(most, 1)
})

await t.test('nothing is left behind, also when the task fails', async (t) => {
  const dir = await folder(t)
  await t.rejects(
    withFileLock(join(dir, 'lock'), () => Promise.reject(new Error('task'))),
    { message: 'task' },
  )
  t.strictSame(await readdir(dir), [])
})

await t.test('a lock whose process lives is waited for, then TIMEOUT', async (t) => {
  const path = join(await folder(t), 'lock')
  await withFileLock(path, async () => {
    await t.rejects(withFileLock(path, noop, 100), { code: 'TIMEOUT' })
  })
})

const { pid: deadPid } = spawnSync('true')
const abandoned = [
  { it: 'of a process that is gone', owner: { pid: deadPid, startTicks: '1', nonce: 'x' } },
  { it: 'of a process whose pid was given again', owner: { pid: process.pid, startTicks: '1', nonce: 'x' } },
]
for (const { it, owner } of abandoned)
  await t.test(`takes over a lock ${it}`, async (t) => {
    const dir = await folder(t)
    await writeFile(join(dir, 'lock'), JSON.stringify(owner))
    let inside = 0
    const task = async () => void t.equal(inside++, 0)
    await Promise.all(
      Array.from({ length: 8 }, () => withFileLock(join(dir, 'lock'), () => task().finally(() => inside--))),
    )
    t.strictSame(await readdir(dir), [])
  })

await t.test('an unreadable lock is half-written at first, abandoned when it is old', async (t) => {
  const path = join(await folder(t), 'lock')
  await writeFile(path, '{"pid":')
  await t.rejects(withFileLock(path, noop, 50), { code: 'TIMEOUT' })
  t.equal(await readFile(path, 'utf8'), '{"pid":')
  await utimes(path, 1, 1)
  await t.resolves(withFileLock(path, noop, 50))
})
