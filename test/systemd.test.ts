import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'

const FOLDER = resolve(import.meta.dirname, '../systemd')
const UNIT = join(FOLDER, 'supervisor-agent.service')
const ANALYZE = '/usr/bin/systemd-analyze'
const skip = existsSync(ANALYZE) ? false : 'this host has no systemd-analyze'

type Directives = Map<string, string[]>

/** `Section.Key` to its values, in order. */
function directivesOf(text: string): Directives {
  const directives: Directives = new Map()
  let section = ''
  for (const line of text.split('\n')) {
    const [, head] = /^\[(\w+)\]$/.exec(line) ?? []
    const [, key, value = ''] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? []
    if (head !== undefined) section = head
    else if (key !== undefined) {
      const name = `${section}.${key}`
      directives.set(name, [...(directives.get(name) ?? []), value])
    } else if (line !== '' && !line.startsWith('#')) throw new Error(`not a line of a unit: ${line}`)
  }
  return directives
}

const unit = directivesOf(readFileSync(UNIT, 'utf8'))

const pinned: Record<string, string[]> = {
  'Unit.After': ['network.target supervisor.service supervisord.service'],
  'Unit.StartLimitIntervalSec': ['300'],
  'Unit.StartLimitBurst': ['10'],
  'Service.Type': ['notify'],
  'Service.NotifyAccess': ['all'],
  'Service.ExecStart': ['/usr/bin/agent daemon'],
  'Service.Restart': ['always'],
  'Service.TimeoutStopSec': ['10'],
  'Service.KillMode': ['mixed'],
  'Service.UMask': ['0077'],
  'Service.NoNewPrivileges': ['yes'],
  'Service.CapabilityBoundingSet': ['CAP_CHOWN CAP_DAC_READ_SEARCH'],
  'Install.WantedBy': ['multi-user.target'],
}
for (const [directive, values] of Object.entries(pinned))
  await t.test(`the unit has ${directive}=${values.join()}`, async (t) => {
    t.same(unit.get(directive), values)
  })

await t.test('the unit may write what it needs and nothing more', async (t) => {
  t.same(unit.get('Service.ProtectSystem'), ['strict'])
  t.same(unit.get('Service.ReadWritePaths'), [
    '-/etc/supervisor/conf.d -/etc/supervisord.d',
    '-/var/spool/supervisor-agent',
    '-/var/spool/cron',
    '-/var/log/supervisor',
  ])
  for (const kind of ['Configuration', 'State', 'Runtime'])
    t.same(unit.get(`Service.${kind}Directory`), ['supervisor-agent'])
  t.same(unit.get('Service.StateDirectoryMode'), ['0700'])
  for (const key of ['BindPaths', 'CacheDirectory', 'LogsDirectory', 'ReadWriteDirectories'])
    t.notOk(unit.has(`Service.${key}`), key)
})

await t.test('the unit does not depend on supervisord, which may be down', async (t) => {
  for (const key of ['Requires', 'BindsTo', 'PartOf', 'Requisite', 'Wants'])
    t.notOk(unit.has(`Unit.${key}`), key)
})

await t.test('the unit has no watchdog, which nothing would feed', async (t) => {
  t.notOk(unit.has('Service.WatchdogSec'))
})

await t.test('the program of the unit is the one that the package installs', async (t) => {
  const text = readFileSync(resolve(FOLDER, '../package.json'), 'utf8')
  const { bin, files } = JSON.parse(text) as { bin: Record<string, string>; files: string[] }
  t.ok(bin['agent'])
  t.ok(files.includes('systemd'))
})

await t.test('systemd-analyze', { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sa-unit-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const copy = join(folder, 'supervisor-agent.service')
  // verify wants a program that is there
  writeFileSync(copy, readFileSync(UNIT, 'utf8').replace('=/usr/bin/agent ', '=/bin/true '))

  await t.test('verifies the unit without a remark', async (t) => {
    t.same(await run(ANALYZE, 'verify', '--man=no', copy), { code: 0, output: '' })
  })

  await t.test('finds a directive that it does not know, so that silence means something', async (t) => {
    const wrong = join(folder, 'wrong.service')
    writeFileSync(wrong, readFileSync(copy, 'utf8').replace('ProtectHome=', 'ProtectHomes='))
    const { output } = await run(ANALYZE, 'verify', '--man=no', wrong)
    t.match(output, 'ProtectHomes')
  })

  await t.test('rates its exposure 3.0 or less', async (t) => {
    const { code, output } = await run(
      ANALYZE,
      'security',
      '--offline=true',
      '--threshold=30',
      '--no-pager',
      copy,
    )
    const [, score = ''] = /exposure level for \S+: ([\d.]+)/.exec(output) ?? []
    t.ok(Number(score) > 0 && Number(score) <= 3, `exposure ${score}`)
    t.equal(code, 0)
  })
})

const HAS = (program: string) => (existsSync(program) ? false : `this host has no ${program}`)

await t.test('systemd-sysusers makes the group', { skip: HAS('/usr/bin/systemd-sysusers') }, async (t) => {
  const { code, output } = await run(
    '/usr/bin/systemd-sysusers',
    '--dry-run',
    join(FOLDER, 'sysusers.d/supervisor-agent.conf'),
  )
  t.equal(code, 0)
  t.notMatch(output, /Failed|Unknown/i)
})

await t.test('systemd-tmpfiles makes the spool', { skip: HAS('/usr/bin/systemd-tmpfiles') }, async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'sa-root-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const file = join(FOLDER, 'tmpfiles.d/supervisor-agent.conf')
  const lines = readFileSync(file, 'utf8').replaceAll(' root root ', ' - - ')
  const own = join(root, 'spool.conf')
  writeFileSync(own, lines)
  const { code, output } = await run('/usr/bin/systemd-tmpfiles', `--root=${root}`, '--create', own)
  t.equal(code, 0, output)
  const { output: modes } = await run(
    'stat',
    '-c',
    '%a',
    join(root, 'var/spool/supervisor-agent'),
    join(root, 'var/spool/supervisor-agent/.bin'),
  )
  t.equal(modes, '711\n755\n')
})

function run(program: string, ...args: string[]): Promise<{ code: number; output: string }> {
  return new Promise((done) => {
    execFile(
      program,
      args,
      { env: { PATH: '/usr/bin:/bin', SYSTEMD_COLORS: '0', LC_ALL: 'C' } },
      (error, stdout, stderr) => done({ code: error ? Number(error.code) : 0, output: stdout + stderr }),
    )
  })
}
