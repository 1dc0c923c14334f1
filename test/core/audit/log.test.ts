import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { SeenCall } from '../../../src/core/audit/describe.ts'
import { AuditLog } from '../../../src/core/audit/log.ts'
import { auditPaths } from '../../../src/core/audit/paths.ts'
import { verifyAudit } from '../../../src/core/audit/verify.ts'
import { createLogger } from '../../../src/logger.ts'
import { AgentError } from '../../../src/protocol/errors.ts'

const LIMITS = { fileBytes: 4000, totalBytes: 1e9, keepMs: 1e9 }

interface Scope {
  teardown(task: () => unknown): void
}

const stop = (n: number): SeenCall => ({
  actor: 'token:panel-1',
  id: 'p1',
  remote: '192.0.2.7',
  method: 'process.stop',
  params: { select: [`web-${n}`], wait: true },
  secrets: [],
})

/** An audit of a folder of its own, with some calls in it. */
function made(t: Scope, calls = 0, limits = LIMITS) {
  const state = mkdtempSync(join(tmpdir(), 'au-'))
  t.teardown(() => rmSync(state, { recursive: true, force: true }))
  const paths = auditPaths(state)
  const lines: string[] = []
  const logger = createLogger('warn', { write: (line) => void lines.push(line) })
  const open = () => new AuditLog({ paths, logger, now: Date.now, limits })
  const log = open()
  for (let n = 1; n <= calls; n++) log.end(log.begin(stop(n), false), { result: {} }, 12.4)
  const files = () =>
    readdirSync(paths.folder)
      .toSorted()
      .map((name) => join(paths.folder, name))
  return { paths, lines, open, log, files, verify: () => verifyAudit(paths) }
}

type Line = { n: number; prev: string } & Record<string, unknown>
const linesOf = (path: string) => readFileSync(path, 'utf8').trim().split('\n')
const read = (files: readonly string[]) => files.flatMap(linesOf).map((line) => JSON.parse(line) as Line)
const rewrite = (path: string, edit: (lines: string[]) => string[]) =>
  writeFileSync(
    path,
    edit(linesOf(path))
      .map((line) => `${line}\n`)
      .join(''),
  )

await t.test(
  'a call is two records, before and after its effect, each with the hash of the one before',
  async (t) => {
    const { log, files, verify } = made(t)
    const of = log.begin(stop(1), false)
    t.match(read(files()), [{ n: 1, kind: 'begin', prev: '' }], 'there before the effect')
    log.end(of, { result: { results: [{ ok: true }] } }, 12.4)
    const error = new AgentError('POLICY_DENIED', 'not on this host', { facts: { rule: 'policy.readOnly' } })
    log.call(stop(2), { error }, 0.2)
    t.match(read(files()), [
      {
        n: 1,
        at: /^\d{4}-.*Z$/,
        kind: 'begin',
        actor: 'token:panel-1',
        remote: '192.0.2.7',
        method: 'process.stop',
        subject: ['web-1'],
        params: { select: ['web-1'], wait: true },
      },
      { n: 2, kind: 'end', of: 1, outcome: 'ok', durationMs: 12 },
      { n: 3, kind: 'call', outcome: 'POLICY_DENIED', rule: 'policy.readOnly', subject: ['web-2'] },
    ])
    const [first, second, third] = read(files())
    t.ok(second?.prev && third?.prev && first)
    log.stop()
    t.match(await verify(), { ok: true, records: 3, first: 1, last: 3, torn: 0, unwritten: 0 })
    t.equal(statSync(files()[0] ?? '').mode & 0o777, 0o600)
  },
)

await t.test('endings', (t) => {
  const { log, files } = made(t)
  const endings = [
    [{ result: {} }, { outcome: 'ok' }],
    [{ result: { replayed: true } }, { outcome: 'ok', replayed: true }],
    [{ result: { results: [{ ok: true }, { ok: false }] } }, { outcome: 'partial' }],
    [{ error: new AgentError('TIMEOUT', 'late') }, { outcome: 'TIMEOUT', message: 'late' }],
    [{ error: new TypeError('/etc/secret') }, { outcome: 'INTERNAL' }],
  ] as const
  for (const [done] of endings) log.end(log.begin(stop(1), false), done, 1)
  const ends = read(files()).filter(({ kind }) => kind === 'end')
  t.match(
    ends,
    endings.map(([, ending]) => ending),
  )
  t.notMatch(JSON.stringify(ends), '/etc/secret')
  log.stop()
  t.end()
})

const REMOVED = { ok: false }
/** Ways to change 40 calls in several files behind the agent's back; where a verification must point. */
const tampering: {
  it: string
  edit: (files: string[], paths: { folder: string; head: string }) => void
  brokenAt: number | 'last' | 'second file' | 'first'
}[] = [
  {
    it: 'an edited record',
    edit: ([file = '']) =>
      rewrite(file, (lines) => lines.map((line, i) => (i === 4 ? line.replace('panel-1', 'panel-2') : line))),
    brokenAt: 5,
  },
  {
    it: 'an edited last record',
    edit: (files) =>
      rewrite(files.at(-1) ?? '', (lines) => [
        ...lines.slice(0, -1),
        (lines.at(-1) ?? '').replace('"outcome":"ok"', '"outcome":"no"'),
      ]),
    brokenAt: 'last',
  },
  {
    it: 'a record taken out',
    edit: ([file = '']) => rewrite(file, (lines) => lines.toSpliced(4, 1)),
    brokenAt: 5,
  },
  {
    it: 'a record taken out and the rest numbered anew',
    edit: ([file = '']) =>
      rewrite(file, (lines) =>
        lines.toSpliced(4, 1).map((line, i) => line.replace(/^\{"n":\d+/, `{"n":${i + 1}`)),
      ),
    brokenAt: 4,
  },
  {
    it: 'a record put in',
    edit: ([file = '']) => rewrite(file, (lines) => lines.toSpliced(4, 0, lines[3] ?? '')),
    brokenAt: 5,
  },
  {
    it: 'two records the other way round',
    edit: ([file = '']) => rewrite(file, (lines) => lines.toSpliced(4, 2, lines[5] ?? '', lines[4] ?? '')),
    brokenAt: 5,
  },
  { it: 'a whole file taken out', edit: ([, file = '']) => unlinkSync(file), brokenAt: 'second file' },
  { it: 'the oldest file taken out', edit: ([file = '']) => unlinkSync(file), brokenAt: 'first' },
  {
    it: 'the newest file taken out',
    edit: (files) => unlinkSync(files.at(-1) ?? ''),
    brokenAt: 'last',
  },
  {
    it: 'the last record taken off',
    edit: (files) => rewrite(files.at(-1) ?? '', (lines) => lines.slice(0, -1)),
    brokenAt: 'last',
  },
  {
    it: 'the last record cut in the middle',
    edit: (files) => truncateSync(files.at(-1) ?? '', statSync(files.at(-1) ?? '').size - 9),
    brokenAt: 'last',
  },
  {
    it: 'an older file cut in the middle',
    edit: ([file = '']) => truncateSync(file, statSync(file).size - 9),
    brokenAt: 'second file',
  },
  {
    it: 'all records taken away',
    edit: (files) => {
      for (const file of files) unlinkSync(file)
    },
    brokenAt: 1,
  },
  { it: 'the head taken away', edit: (_files, { head }) => unlinkSync(head), brokenAt: 'last' },
  { it: 'the head damaged', edit: (_files, { head }) => writeFileSync(head, 'x'), brokenAt: 'last' },
  {
    it: 'files under each other',
    edit: ([a = '', b = '']) => {
      renameSync(a, `${a}.aside`)
      renameSync(b, a)
      renameSync(`${a}.aside`, b)
    },
    brokenAt: 1,
  },
]
for (const { it, edit, brokenAt } of tampering)
  await t.test(`${it} is found, also by an agent that started since`, async (t) => {
    const { log, open, files, paths, verify } = made(t, 40)
    log.stop()
    const before = await verify()
    t.match(before, { ok: true, records: 80 })
    t.ok(files().length > 3, `${files().length} files`)
    const secondFile = read([files()[1] ?? ''])[0]?.n ?? 0
    edit(files(), paths)
    const verdict = await verify()
    t.match(verdict, REMOVED)
    t.type(verdict.reason, 'string')
    if (typeof brokenAt === 'number') t.equal(verdict.brokenAt, brokenAt)
    else if (brokenAt === 'first') t.equal(verdict.brokenAt, 1)
    else if (brokenAt === 'second file') t.ok(Math.abs((verdict.brokenAt ?? 0) - secondFile) <= 1)
    else t.ok((verdict.brokenAt ?? 0) > 60, `at ${verdict.brokenAt}`)

    const again = open()
    again.end(again.begin(stop(41), false), { result: {} }, 1)
    again.stop()
    t.match(await verify(), REMOVED, 'to go on writing heals nothing')
    const third = open()
    third.stop()
    t.match(await verify(), REMOVED)
  })

await t.test('a start says in the log what it finds at the end of the records', (t) => {
  const { log, files, open, lines } = made(t, 3)
  log.stop()
  rewrite(files().at(-1) ?? '', (all) => all.slice(0, -2))
  open().stop()
  t.match(lines.join(''), /2 records were removed from the end/)
  t.end()
})

await t.test('an agent that was killed leaves no alarm; a torn write is counted', async (t) => {
  const { open, files, verify } = made(t, 5)
  // not stopped: as after SIGKILL
  const second = open()
  second.end(second.begin(stop(6), false), { result: {} }, 1)
  t.match(await verify(), { ok: true, records: 12, torn: 0 })
  appendFileSync(files().at(-1) ?? '', '{"n":13,"at":"20')
  t.match(await verify(), { ok: true, records: 12, torn: 1 }, 'with no agent')
  const third = open()
  third.end(third.begin(stop(7), false), { result: {} }, 1)
  third.stop()
  t.match(await verify(), { ok: true, records: 15, torn: 1 }, 'and after its start')
})

await t.test('what is old enough goes, and is not missed', async (t) => {
  const { log, files, open, verify, paths } = made(t, 40, { ...LIMITS, totalBytes: 8000 })
  const kept = read(files())
  t.ok((kept[0]?.n ?? 0) > 1)
  log.stop()
  const verdict = await verify()
  t.match(verdict, { ok: true, first: kept[0]?.n, last: 80 })
  for (const file of files()) utimesSync(file, 0, 0)
  const again = open()
  for (let n = 0; n < 40; n++) again.call(stop(n), { result: {} }, 1)
  again.stop()
  t.match(await verify(), { ok: true, last: 120 })
  unlinkSync(files()[0] ?? '')
  t.match(await verify(), REMOVED)
  t.ok(statSync(paths.head).size === 256)
})

await t.test('an empty audit is a good one', async (t) => {
  const { log, verify } = made(t)
  t.match(await verify(), { ok: true, records: 0, first: null, last: null })
  log.stop()
  t.match(await verifyAudit(auditPaths('/nonexistent')), { ok: true, records: 0 })
})

await t.test('who asks for what they may not, again and again, does not fill the disk', async (t) => {
  const { log, files, verify } = made(t)
  const error = new AgentError('FORBIDDEN', 'no')
  for (let n = 0; n < 500; n++) log.call(stop(n), { error }, 0)
  for (let n = 0; n < 5; n++) log.call({ ...stop(n), method: 'program.delete' }, { error }, 0)
  log.call({ ...stop(1), actor: 'token:other', id: 'o1' }, { error }, 0)
  log.settle()
  const lines = read(files())
  const written = (who: string) => lines.filter(({ kind, actor }) => kind === 'call' && actor === who)
  t.equal(written('token:panel-1').length, 63 + 3)
  t.match(written('token:panel-1').at(-1), { method: 'program.delete', actorId: 'p1' }, 'many hide none')
  t.equal(written('token:other').length, 1)
  t.match(lines.slice(-2), [
    { kind: 'refusals', actor: 'token:panel-1', method: stop(1).method, count: 437 },
    { kind: 'refusals', actor: 'token:panel-1', method: 'program.delete', count: 2 },
  ])
  log.settle()
  t.equal(read(files()).length, lines.length, 'counted once')
  log.stop()
  t.match(await verify(), { ok: true })
})

await t.test('a verification beside a writing agent', async (t) => {
  const { log, verify } = made(t, 10)
  let n = 10
  const timer = setInterval(() => log.end(log.begin(stop(++n), false), { result: {} }, 1), 1)
  t.teardown(() => clearInterval(timer))
  for (let i = 0; i < 30; i++) t.match(await verify(), { ok: true, torn: 0 })
  clearInterval(timer)
  log.stop()
  t.match(await verify(), { ok: true, records: 2 * n })
})
