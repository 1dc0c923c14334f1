import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { writeFileAtomic } from '../../src/lib/atomic-file.ts'
import { globMatcher } from '../../src/lib/glob.ts'

async function folder(t: { teardown(undo: () => unknown): void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'af-'))
  t.teardown(() => rm(path, { recursive: true, force: true }))
  return path
}

const modeOf = async (path: string) => (await stat(path)).mode & 0o7777

await t.test('a file is made and replaced with the mode asked for, whatever the umask', async (t) => {
  const path = join(await folder(t), 'a.conf')
  const before = process.umask(0o077)
  t.teardown(() => process.umask(before))
  for (const mode of [0o644, 0o600, 0o664, 0o755]) {
    await writeFileAtomic(path, `mode ${mode}`, mode)
    t.equal(await modeOf(path), mode)
    t.equal(await readFile(path, 'utf8'), `mode ${mode}`)
  }
  await writeFileAtomic(path, '')
  t.equal(await modeOf(path), 0o600, 'private unless said otherwise')
  t.equal(await readFile(path, 'utf8'), '')
})

await t.test('whoever holds the old file goes on reading the old content', async (t) => {
  const path = join(await folder(t), 'a.conf')
  await writeFileAtomic(path, 'old')
  const { ino } = await stat(path)
  await writeFileAtomic(path, 'new')
  t.not((await stat(path)).ino, ino, 'it is another file')
})

await t.test('a symbolic link in its place is replaced, not followed', async (t) => {
  const dir = await folder(t)
  const [target, path] = [join(dir, 'target'), join(dir, 'a.conf')]
  await writeFile(target, 'precious')
  await symlink(target, path)
  await writeFileAtomic(path, 'new')
  t.equal(await readFile(target, 'utf8'), 'precious')
  t.equal(await readFile(path, 'utf8'), 'new')
})

await t.test('a failure leaves the old file and nothing else', async (t) => {
  const dir = await folder(t)
  await mkdir(join(dir, 'a.conf'))
  await t.rejects(writeFileAtomic(join(dir, 'a.conf'), 'new'), { code: 'EISDIR' })
  t.strictSame(await readdir(dir), ['a.conf'])
  await t.rejects(writeFileAtomic(join(dir, 'none', 'a.conf'), 'new'), { code: 'ENOENT' })
  if (process.getuid?.() === 0) return
  await chmod(dir, 0o500)
  await t.rejects(writeFileAtomic(join(dir, 'b.conf'), 'new'), { code: 'EACCES' })
  await chmod(dir, 0o700) // so that it can be removed again
})

await t.test('writers at the same time: one of them wins as a whole', async (t) => {
  const dir = await folder(t)
  const path = join(dir, 'a.conf')
  await Promise.all(
    Array.from({ length: 20 }, (_, index) => writeFileAtomic(path, String(index).repeat(1000))),
  )
  const content = await readFile(path, 'utf8')
  t.match(content, /^(\d+?)\1{999}$/)
  t.strictSame(await readdir(dir), ['a.conf'])
})

await t.test('a writer killed at any moment leaves the old or the new content, whole', async (t) => {
  const size = 300_000
  const isForeign = globMatcher('*.conf')
  const left = new Set<string>()
  for (let round = 0; round < 8; round++) {
    const dir = await folder(t)
    const path = join(dir, 'a.conf')
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', join(import.meta.dirname, 'rewriter.ts'), path, String(size)],
      { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_OPTIONS: '' } },
    )
    await once(child.stdout, 'data')
    await setTimeout(Math.random() * 60) // the moment is meant to be any
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
    const content = await readFile(path, 'utf8')
    if (content.length !== size || content !== content.charAt(0).repeat(size))
      t.fail(`round ${round}: ${content.length} characters`)
    t.equal(await modeOf(path), 0o640)
    for (const name of await readdir(dir)) if (name !== 'a.conf') left.add(name)
  }
  for (const name of left) {
    t.match(name, /^\.a\.conf\.[0-9a-f]{12}\.tmp$/, 'what it left is a temporary file')
    t.notOk(isForeign(name), 'that no *.conf glob matches')
  }
  t.pass(`${left.size} temporary files were left in 8 rounds`)
})
