import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { RecordFiles, type RecordFilesOptions } from '../../src/lib/record-files.ts'
import { clock } from '../core/access/support.ts'
import { noNamespace } from '../fixtures/namespace.ts'

const LIMITS = { fileBytes: 1000, totalBytes: 5000, keepMs: 60_000 }

interface Scope {
  testdir(): string
}

function text(number: number): string {
  return JSON.stringify({ n: number, text: 'é'.repeat(10) })
}

function filled(t: Scope, count: number, more: Partial<RecordFilesOptions> = {}) {
  const time = clock()
  const options = { folder: join(t.testdir(), 'records'), now: time.now, ...LIMITS, ...more }
  const files = new RecordFiles(options)
  for (let n = 1; n <= count; n++) files.append(n, text(n))
  return { folder: options.folder, files, time, reopen: () => new RecordFiles(options) }
}

async function numbers(files: RecordFiles, from: number): Promise<number[]> {
  const all: number[] = []
  for await (const line of files.read(from)) all.push((JSON.parse(line) as { n: number }).n)
  return all
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

await t.test('records come back in order, from the file that holds the one asked for', async (t) => {
  const { files, reopen, folder } = filled(t, 60)
  t.same(await numbers(files, 1), range(1, 60))
  t.ok(readdirSync(folder).length > 2, 'more than two files')
  const late = await numbers(files, 59)
  t.same(late, range(late[0] ?? 0, 60))
  t.ok((late[0] ?? 0) > 1 && (late[0] ?? 0) <= 59, 'not from the very beginning')
  files.close()
  const again = reopen()
  t.equal(again.cutBytes, 0)
  again.append(61, text(61))
  t.same((await numbers(again, 1)).at(-1), 61)
  t.equal(again.first, 1)
  t.same(JSON.parse(again.newest().at(-1) ?? ''), { n: 61, text: 'é'.repeat(10) })
  again.close()
})

await t.test('only its owner may read', (t) => {
  const { files, folder } = filled(t, 1)
  files.close()
  t.equal(statSync(folder).mode & 0o777, 0o700)
  t.equal(statSync(join(folder, readdirSync(folder)[0] ?? '')).mode & 0o777, 0o600)
  t.end()
})

await t.test('a torn last line is cut off and counted, wherever it tears', async (t) => {
  const { files, folder, reopen } = filled(t, 3)
  files.close()
  const path = join(folder, readdirSync(folder)[0] ?? '')
  const whole = readFileSync(path)
  const third = whole.lastIndexOf(0x0a, whole.length - 2) + 1
  for (let size = third; size < whole.length; size++) {
    writeFileSync(path, whole.subarray(0, size))
    const again = reopen()
    t.equal(again.cutBytes, size - third)
    again.append(3, text(3))
    t.same(await numbers(again, 1), [1, 2, 3])
    again.close()
  }
})

await t.test('a torn line longer than a block is cut off as well', async (t) => {
  const { files, folder, reopen } = filled(t, 2, { fileBytes: 1_000_000 })
  files.close()
  appendFileSync(join(folder, readdirSync(folder)[0] ?? ''), 'x'.repeat(200_000))
  const again = reopen()
  t.equal(again.cutBytes, 200_000)
  t.same(await numbers(again, 1), [1, 2])
  again.close()
})

await t.test('a file that was begun and never written goes', async (t) => {
  const { files, folder, reopen } = filled(t, 2)
  files.close()
  writeFileSync(join(folder, '0000000000000003-1767225600000.jsonl'), '{"n":')
  const again = reopen()
  t.equal(again.cutBytes, 5)
  t.equal(again.newest().length, 2)
  again.append(3, text(3))
  t.same(await numbers(again, 3), [1, 2, 3])
  again.close()
})

await t.test('the oldest files go when all hold too much, and by age; the newest stays', async (t) => {
  const { files, folder, time } = filled(t, 500)
  const total = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
  t.ok(total <= LIMITS.totalBytes + LIMITS.fileBytes, `${total} bytes`)
  t.same(await numbers(files, 1), range(files.first ?? 0, 500))
  files.retain()
  for (const name of readdirSync(folder)) utimesSync(join(folder, name), 0, 0)
  t.equal(files.retain(), false, 'the times of the file system say nothing')
  time.add(LIMITS.keepMs + 1)
  t.equal(files.retain(), true)
  t.equal(readdirSync(folder).length, 1)
  t.equal(files.retain(), false)
  t.same((await numbers(files, 1)).at(-1), 500)
  files.close()
})

await t.test('what was written lately can be spared, and is told of before it goes', (t) => {
  const told: [first: number, files: number][] = []
  const onRetain = (first: number) => told.push([first, readdirSync(folder).length])
  const limits = { keepMs: 7 * 60_000, spareMs: 60_000, onRetain }
  const { folder, files, time } = filled(t, 500, limits)
  t.equal(files.first, 1)
  t.strictSame(told, [])
  const count = readdirSync(folder).length
  t.ok(count > 10, `${count} files`)
  time.add(61_000)
  t.equal(files.retain(), true)
  t.strictSame(told, [[files.first, count]], 'told while all were there')
  t.ok((files.first ?? 0) > 1 && readdirSync(folder).length < count)
  files.close()
  t.end()
})

await t.test('whoever waits for the disk gets there, also over a change of files and the end', async (t) => {
  const { files, reopen } = filled(t, 1)
  const waits = range(2, 200).map((n) => {
    files.append(n, text(n))
    return files.synced()
  })
  files.close()
  await Promise.all(waits)
  await files.synced()
  const again = reopen()
  t.equal((await numbers(again, 1)).at(-1), 200)
  again.close()
})

await t.test('a file is old when the next one was begun long ago, also over a restart', async (t) => {
  const { files, folder, time, reopen } = filled(t, 30)
  const begun = readdirSync(folder).length
  t.ok(begun > 1)
  files.close()
  time.add(LIMITS.keepMs / 2)
  const again = reopen()
  again.append(31, text(31))
  t.equal(readdirSync(folder).length, begun + 1, 'a quiet one begins a new file after a while')
  time.add(LIMITS.keepMs / 2 + 1)
  t.equal(again.retain(), true)
  t.same(readdirSync(folder).length, 2, 'the one that was written until lately stays')
  again.close()
})

await t.test('files that somebody removed or put away hold up nothing', async (t) => {
  const { files, folder } = filled(t, 150)
  const [first = '', second = '', third = ''] = readdirSync(folder).toSorted()
  for (const name of [first, third]) unlinkSync(join(folder, name))
  renameSync(join(folder, second), join(folder, 'elsewhere'))
  const left = await numbers(files, 1)
  t.same(left, range(left[0] ?? 0, 150), 'it begins with what is there')
  for (let n = 151; n <= 400; n++) files.append(n, text(n))
  t.same((await numbers(files, 390)).at(-1), 400)
  t.ok((files.first ?? 0) > 150)
  files.close()
})

await t.test('what is written while somebody reads comes too', async (t) => {
  const { files } = filled(t, 100)
  const seen: number[] = []
  for await (const line of files.read(1)) {
    seen.push((JSON.parse(line) as { n: number }).n)
    if (seen.length === 1) files.append(101, text(101))
  }
  t.same(seen, range(1, 101))
  files.close()
})

await t.test('nothing is passed over when a file ends while its end is looked for', async (t) => {
  const { files } = filled(t, 3)
  const reading = files.read(1)
  for (let n = 1; n <= 3; n++) await reading.next()
  const rest = reading.next()
  // the look finds nothing meanwhile, and nobody here has heard of that yet
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
  for (let n = 4; n <= 40; n++) files.append(n, text(n))
  const { done, value } = await rest
  t.ok(done || (JSON.parse(value) as { n: number }).n === 4, `it goes on with ${value}`)
  files.close()
})

await t.test('a reader whose file is removed goes on with the oldest that is kept', async (t) => {
  const { files } = filled(t, 100)
  const reading = files.read(1)
  await reading.next()
  for (let n = 101; n < 500; n++) files.append(n, text(n))
  const seen: number[] = []
  for await (const line of reading) seen.push((JSON.parse(line) as { n: number }).n)
  const jump = seen.findIndex((n, index) => index > 0 && n !== (seen[index - 1] ?? 0) + 1)
  t.equal(seen[jump], files.first)
  t.same(seen.slice(jump), range(files.first ?? 0, 499))
  files.close()
})

await t.test('a number is found without reading all before it, wherever it is', async (t) => {
  const numberOf = (head: string) => {
    const number = /^\{"n":(\d+),/.exec(head)?.[1]
    return number === undefined ? null : Number(number)
  }
  const folder = join(t.testdir(), 'records')
  const files = new RecordFiles({ folder, now: Date.now, ...LIMITS, fileBytes: 1e9, numberOf })
  const odd = new Set([700, 5000, 5001, 9000])
  for (let n = 1; n <= 10_000; n++)
    files.append(n, JSON.stringify({ n, text: 'é'.repeat(odd.has(n) ? 20_000 : n % 300) }))
  for (const from of [1, 2, 699, 700, 701, 3333, 4999, 5000, 5001, 5002, 8999, 9001, 9999, 10_000, 20_000]) {
    const seen: number[] = []
    for await (const line of files.read(from)) {
      seen.push(numberOf(line) ?? NaN)
      if (seen.length > 3000) break
    }
    const [begin = from] = seen
    t.ok(begin <= from, `${from}: begins at ${begin}`)
    t.ok(from - begin < 2000 || from > 10_000, `${from}: begins nearby, at ${begin}`)
    t.same(seen, range(begin, Math.min(10_000, begin + seen.length - 1)), `${from}: without a hole`)
  }
  files.close()
})

await t.test('a reading ends with its signal', async (t) => {
  const { files } = filled(t, 10_000, { fileBytes: 1e9 })
  const end = new AbortController()
  const reading = files.read(1, end.signal)
  await reading.next()
  end.abort()
  let count = 0
  const rest = async () => {
    for await (const _line of reading) count++
  }
  await t.rejects(rest(), { name: 'AbortError' })
  t.ok(count < 4000, `${count} more, of the block that was read`)
  files.close()
})

await t.test('a full disk leaves nothing half written', { skip: noNamespace() }, (t) => {
  const folder = t.testdir()
  const script = join(import.meta.dirname, 'full-disk-writer.ts')
  // a small disk that nobody but this shell and its child sees
  const shell = 'mount -t tmpfs -o size=64k tmpfs "$1" && exec "$2" --import tsx "$3" "$1"'
  const said = execFileSync('unshare', ['-rm', 'sh', '-c', shell, 'sh', folder, process.execPath, script], {
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  t.same(JSON.parse(said.toString()), { code: 'ENOSPC', isWhole: true, goesOn: true })
  t.end()
})
