// Entries: what is refused, how the rest is written into a crontab, read back, and taken out again.
import t from 'tap'
import { LOCAL_ADMIN } from '../../../src/core/access/local-principals.ts'
import { type BlockEntry, readBlock, renderEntry } from '../../../src/core/crontab/block.ts'
import { ejectEntry } from '../../../src/core/crontab/eject.ts'
import { entryIssues } from '../../../src/core/crontab/entry-validation.ts'
import { readScript, writeScript } from '../../../src/core/crontab/job-script.ts'
import { DEFAULT_SPOOL, readManagedLine, writeManagedLine } from '../../../src/core/crontab/managed-line.ts'
import { bare, linesOf, readLine, shown, written } from '../../../src/core/crontab/table-lines.ts'
import { DEPLOYER, PolicyHost, rulesOf } from '../policy/support.ts'
import { INPUTS, PLAIN } from './hostile-inputs.ts'
import { Random } from './random.ts'

const WHERE = { spoolDir: DEFAULT_SPOOL, host: 'web-1' }

function entryOf(more: Partial<BlockEntry> = {}): BlockEntry {
  return { id: 'job', name: 'Job', schedule: '5 4 * * *', command: 'true', enabled: true, ...more }
}

await t.test('hostile input is refused at its field, or written so that it is only data', (t) => {
  for (const { it, with: more, verdict } of INPUTS) {
    const fields = { ...PLAIN, ...more }
    const issues = entryIssues(fields)
    if (typeof verdict === 'object') {
      t.same(new Set(issues.map(({ path }) => path)), new Set([verdict.refuses]), `refuses ${it}`)
      t.ok(
        issues.every(({ path, message }) => !/\p{Cc}/u.test(path + message)),
        'and says so in plain text',
      )
      continue
    }
    t.same(issues, [], it)
    const { lines, script } = renderEntry(entryOf({ ...fields, id: 'job' }), WHERE)
    t.equal(script === null ? 'inline' : 'script', verdict, `${it} is written as told`)
    const read = readBlock(linesOf(lines))
    t.same([read.strays, read.entries.length, linesOf(lines).length], [[], 1, 2], 'as two lines')
    t.equal(read.entries[0]?.name, fields.name)
    const command = script === null ? read.entries[0]?.job?.command : readScript(script)?.command
    t.equal(command, fields.command, 'and reads back')
    if (script !== null) t.same(readScript(script)?.env, fields.env ?? {})
  }
  t.ok(INPUTS.length >= 58, `${INPUTS.length} inputs`)
  t.end()
})

await t.test('whose entry it may be, and @reboot, is for the policy', async (t) => {
  const host = new PolicyHost(t)
  const entry = { user: 'www-data', schedule: '5 4 * * *', command: '/usr/bin/env' }
  for (const [more, rules] of [
    [{ user: 'root' }, ['policy.allowRoot']],
    [{ user: 'daemon' }, ['policy.users']],
    [{ schedule: '@reboot' }, ['policy.allowReboot']],
  ] as const) {
    const subject = { kind: 'cron', entry: { ...entry, ...more } } as const
    t.same(entryIssues({ name: 'Job', ...subject.entry }), [], 'nothing is wrong with it as such')
    t.same(rulesOf(await host.policy().judge(subject, DEPLOYER)), rules)
    t.equal((await host.policy().judge(subject, LOCAL_ADMIN)).allowed, true)
  }
})

await t.test('the line of an entry', (t) => {
  const line = (more: Partial<BlockEntry>, where = WHERE) =>
    linesOf(renderEntry(entryOf(more), where).lines).map((one) => shown(bare(one)))
  const shim = `${DEFAULT_SPOOL}/.bin/cronrun`
  t.same(line({}), ['# job Job', `5 4 * * * ${shim} job -- 'true'`])
  t.same(line({ enabled: false }), ['# job Job', `#off 5 4 * * * ${shim} job -- 'true'`])
  t.match(line({ noOverlap: true, timeoutMs: 60_000 })[1], `cronrun -o -t 60 job -- 'true'`)
  t.match(line({ env: { A: 'b' } })[1], /cronrun job$/, 'variables are in the script')
  t.match(line({ isSecret: true })[1], /cronrun job$/, 'so is what nobody may see')
  t.match(
    line({}, { ...WHERE, spoolDir: '/srv/a b%' })[1],
    `'/srv/a b\\%/.bin/cronrun' -s '/srv/a b\\%' job --`,
  )
  t.match(line({ command: 'x'.repeat(840) })[1], '--')
  t.notMatch(line({ command: 'x'.repeat(860) })[1], '--', 'a long line goes into a script')
  t.notMatch(line({ command: 'x'.repeat(150), enabled: false })[1], '--', 'a disabled one sooner')
  const delays = ['web-1', 'web-2', 'web-3', 'web-4'].map(
    (host) => line({ splayMs: 3_600_000 }, { ...WHERE, host })[1],
  )
  t.ok(new Set(delays).size > 2, 'hosts start at different times')
  t.same(line({ splayMs: 3_600_000 }), line({ splayMs: 3_600_000 }), 'each at the same')
  for (const text of delays) t.match(text, /cronrun -d ([1-9]\d{0,2}|[12]\d{3}|3[0-5]\d{2}|3600) job/)
  t.notMatch(line({ splayMs: 0 })[1], '-d')
  t.end()
})

await t.test('lines that are not as we write them are not ours', (t) => {
  const job = readManagedLine(`5 4 * * * ${DEFAULT_SPOOL}/.bin/cronrun -t 5 job -- 'true'`)
  t.match(job, { id: 'job', timeoutSeconds: 5, command: 'true', isEnabled: true })
  for (const text of [
    `5 4 * * * ${DEFAULT_SPOOL}/.bin/cronrun job -- true`,
    `5 4 * * * ${DEFAULT_SPOOL}/.bin/cronrun  job -- 'true'`,
    `5 4 * * * ${DEFAULT_SPOOL}/.bin/cronrun job -- 'true' `,
    `5  4 * * * ${DEFAULT_SPOOL}/.bin/cronrun job -- 'true'`,
    `5 4 * * * ${DEFAULT_SPOOL}/.bin/cronrun job -- 'true' >/tmp/x`,
    `5 4 * * * ${DEFAULT_SPOOL}/.bin/cronrun -t 0 job -- 'true'`,
    `5 4 * * * ${DEFAULT_SPOOL}/.bin/cronrun -s ${DEFAULT_SPOOL} job -- 'true'`,
    `5 4 * * * ${DEFAULT_SPOOL}/.bin/cronrun -x job -- 'true'`,
    `5 4 * * * ${DEFAULT_SPOOL}/.bin/cronrun a.b -- 'true'`,
    `5 4 * * * ${DEFAULT_SPOOL}/.bin/cronrun`,
    `5 4 * * * ${DEFAULT_SPOOL}/.bin/cronrun job -- 'true'\r`,
    `5 4 * * * ${DEFAULT_SPOOL}/.bin/cronrun job -- 'a%b'`,
    `# 5 4 * * * ${DEFAULT_SPOOL}/.bin/cronrun job -- 'true'`,
    `#off #off 5 4 * * * ${DEFAULT_SPOOL}/.bin/cronrun job -- 'true'`,
    '5 4 * * * true',
    '',
  ])
    t.equal(readManagedLine(text), null, JSON.stringify(text))
  t.end()
})

await t.test('what is written reads back: random commands and variables', (t) => {
  const random = new Random(11)
  const pieces = [
    "'",
    "\\'",
    '\\',
    '%',
    '"',
    '$',
    '`',
    ' ',
    '--',
    '-s',
    '#',
    'é',
    '✓',
    '😀',
    '*',
    'a',
    '=',
    '!',
    '\n',
    '\t',
  ]
  const text = (most: number) => random.times(random.below(most), () => random.pick(pieces)).join('')
  for (let i = 0; i < 3000; i++) {
    const command = `x${text(30)}`
    const env = Object.fromEntries(
      random.times(random.below(3), () => [`V${random.below(9)}`, text(9).replaceAll('\n', '')]),
    )
    const enabled = random.chance(80)
    const entry = entryOf({
      command,
      enabled,
      noOverlap: random.chance(50),
      ...(random.chance(30) ? { env } : {}),
    })
    const { lines, script } = renderEntry(entry, WHERE)
    const job = readBlock(linesOf(lines)).entries[0]?.job
    const isSame =
      job !== null &&
      job !== undefined &&
      job.isEnabled === enabled &&
      writeManagedLine(job) === bare(linesOf(lines)[1] ?? '')
    if (!isSame || (script === null ? job.command : readScript(script)?.command) !== command)
      t.same(job, entry)
    if (script === null) {
      // the two daemons agree on it: no pair of backslashes, none before a percent sign of the command
      const line = readLine(bare(linesOf(lines)[1] ?? '').replace(/^#off /, ''))
      if (line.kind !== 'job' || line.isTwofold || line.stdin !== null) t.fail(`${lines} is not read alike`)
    }
  }
  t.equal(readScript(writeScript({ id: 'a', env: {}, command: "export A='b'\n" }))?.command, "export A='b'\n")
  for (const broken of [
    '',
    '# supervisor-agent script v1 a 1\ntrue',
    '# supervisor-agent script v2 a 0\ntrue',
  ])
    t.equal(readScript(broken), null, JSON.stringify(broken))
  t.end()
})

await t.test('an entry becomes an ordinary line again', (t) => {
  const where = { spoolDir: '/srv/spool' }
  const eject = (more: Partial<BlockEntry>, original?: string) =>
    ejectEntry(entryOf(more), { ...where, original })
  t.match(eject({}), { lines: `# job Job\n5 4 * * * true\n`, needsScript: false })
  t.match(eject({ command: 'date +%F' }).lines, 'date +\\%F\n')
  t.match(eject({ env: { A: "it's" } }).lines, `export A='it'\\''s'; true\n`)
  t.match(eject({ enabled: false }).lines, `# 5 4 * * * true\n`, 'a disabled one as a comment')
  for (const more of [
    { command: 'a\nb' },
    { command: 'a\\\\b' },
    { command: 'x'.repeat(2000) },
    { isSecret: true },
  ]) {
    const { lines, needsScript, warnings } = eject(more)
    t.equal(lines, `# job Job\n5 4 * * * /bin/sh '/srv/spool/.scripts/job.sh'\n`)
    t.ok(needsScript && warnings.some((one) => one.includes('which must stay')))
  }
  t.match(
    eject({ noOverlap: true, timeoutMs: 1000, splayMs: 1000 }).warnings.join(),
    /overlap.*ends it.*delay/,
  )
  const original = written('5  4 * *\t* true\n')
  t.equal(eject({}, original).lines, original, 'the line that it was comes back as it was')
  t.equal(eject({}, '5 4 * * * true').lines, '5 4 * * * true\n')
  for (const other of ['5 4 * * * false\n', '6 4 * * * true\n', '5 4 * * * true%x\n', 'true\n'])
    t.match(eject({}, other).lines, /^# job Job\n/, `not ${JSON.stringify(other)}, which says something else`)
  t.match(eject({ enabled: false }, original).lines, '# 5 4')
  t.end()
})
