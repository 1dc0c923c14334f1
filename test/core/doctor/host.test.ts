// Each check with the fault that it is to find, made for real, and silent where all is well: those of the host and the agent.
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type TokenRecord, writeTokenFile } from '../../../src/core/access/token-file.ts'
import { AuditLog } from '../../../src/core/audit/log.ts'
import { auditPaths } from '../../../src/core/audit/paths.ts'
import { agentDescriptors } from '../../../src/core/doctor/agent-descriptors.ts'
import { auditChain } from '../../../src/core/doctor/audit-chain.ts'
import { UNASKED } from '../../../src/core/doctor/check.ts'
import { clock } from '../../../src/core/doctor/clock.ts'
import { cron } from '../../../src/core/doctor/cron.ts'
import { cronOwners } from '../../../src/core/doctor/cron-owners.ts'
import { cronSpool } from '../../../src/core/doctor/cron-spool.ts'
import { cronZone } from '../../../src/core/doctor/cron-zone.ts'
import type { DoctorHost } from '../../../src/core/doctor/host.ts'
import { hostChecks } from '../../../src/core/doctor/index.ts'
import { logFolders } from '../../../src/core/doctor/log-folders.ts'
import { panelLink } from '../../../src/core/doctor/panel-link.ts'
import { stateFolder } from '../../../src/core/doctor/state-folder.ts'
import { tlsCertificate } from '../../../src/core/doctor/tls-certificate.ts'
import { tokensFile } from '../../../src/core/doctor/tokens-file.ts'
import { makeCertificate } from '../../../src/core/host/certificate.ts'
import { createLogger } from '../../../src/logger.ts'
import { AGENT, found, host } from './support.ts'

const DAY_MS = 86_400_000
const IS_ROOT = process.getuid?.() === 0

await t.test('folders of logs', async (t) => {
  const { at, path } = host(t)
  t.same(await found(logFolders(at())), [])
  chmodSync(path('log'), 0o777)
  t.match(await found(logFolders(at())), [
    { severity: 'warning', message: /writable by everybody/, fix: `chmod go-w ${path('log')}` },
  ])
  execFileSync('sh', ['-c', `chmod go-w ${path('log')}`])
  t.same(await found(logFolders(at())), [], 'its fix cures it')
  const lacking = at({ policy: { logDirectories: [path('log/none')] } })
  t.match(await found(logFolders(lacking)), [{ message: /ENOENT/, fix: /^install -d -m 755 / }])
  if (!IS_ROOT) return
  mkdirSync(path('var/supervisor'), { recursive: true })
  chownSync(path('var'), 0, 4)
  chmodSync(path('var'), 0o775) // as /var/log is on Ubuntu
  const ubuntu = at({ policy: { logDirectories: [path('var/supervisor')] } })
  t.match(await found(logFolders(ubuntu)), [{ message: /group 4/, fix: `chmod +t ${path('var')}` }])
})

await t.test('tokens', async (t) => {
  const { at, path } = host(t)
  const ask = () => found(tokensFile(at()))
  t.same(await ask(), [], 'none yet')
  const day = (days: number) => new Date(Date.now() + days * DAY_MS).toISOString()
  const token = (name: string, more: Partial<TokenRecord> = {}): TokenRecord => ({
    id: name.padEnd(10, '0'),
    name,
    scopes: ['read'],
    programs: ['*'],
    users: [],
    hash: 'ab'.repeat(32),
    createdAt: day(-200),
    createdBy: 'local:admin',
    lastUsedAt: day(-1),
    ...more,
  })
  await writeTokenFile(path('tokens.json'), [
    token('well'),
    token('gone', { revokedAt: day(-9), expiresAt: day(-9) }),
  ])
  t.same(await ask(), [])
  await writeTokenFile(path('tokens.json'), [
    token('expired', { expiresAt: day(-2) }),
    token('soon', { expiresAt: day(3) }),
    token('idle', { lastUsedAt: day(-120) }),
    token('new', { createdAt: day(-2), lastUsedAt: undefined }),
  ])
  const faults = await ask()
  t.match(faults, [
    { severity: 'warning', message: /token expired ended at/, fix: /token revoke expired000/ },
    { severity: 'warning', message: /token soon ends at/ },
    { severity: 'warning', message: /nobody has used the token idle for 120 days/ },
  ])
  t.notMatch(JSON.stringify(faults), 'abab', 'no hash')
  chmodSync(path('tokens.json'), 0o644)
  t.match(await ask(), [{ severity: 'failure', message: /its mode is 0644/, fix: /chmod 600/ }])
  writeFileSync(path('tokens.json'), '{"secret', { mode: 0o600 })
  chmodSync(path('tokens.json'), 0o600)
  t.match(await ask(), [{ severity: 'failure', message: /ends in the middle/, fix: /editor/ }])
})

await t.test('the folder of the state, its disk, and the clock', async (t) => {
  const { at, path } = host(t)
  const ask = (stateDir: string) => found(stateFolder({ ...at(), config: { ...at().config, stateDir } }))
  t.same(await ask(path('state')), [])
  chmodSync(path('state'), 0o755)
  t.match(await ask(path('state')), [
    { severity: 'failure', message: /open to others/, evidence: 'mode 0755' },
  ])
  t.match(await ask(path('none')), [{ severity: 'failure', message: /ENOENT/, fix: /^install -d -m 700 / }])
  t.match(await ask('/proc'), [{}, { severity: 'failure', message: /0 MiB left/ }], 'a disk without room')

  writeFileSync(path('state/audit.head'), '')
  t.same(await found(clock(at())), [])
  const later = Date.now() / 1000 + 7200
  utimesSync(path('state/audit.head'), later, later)
  t.match(await found(clock(at())), [{ severity: 'warning', message: /set back.* (?:7200|719\d) s later/ }])
})

await t.test('the audit', async (t) => {
  const { at, path } = host(t)
  t.same(await found(auditChain(at())), [], 'none yet')
  const paths = auditPaths(path('state'))
  const log = new AuditLog({ paths, logger: createLogger('silent'), now: Date.now })
  for (const name of ['web', 'mailer'])
    log.end(
      log.begin(
        {
          actor: 'panel',
          id: 'panel',
          remote: 'x',
          method: 'process.stop',
          params: { select: [name] },
          secrets: [],
        },
        false,
      ),
      { result: {} },
      1,
    )
  log.stop()
  t.same(await found(auditChain(at())), [])
  const [file = ''] = execFileSync('ls', [paths.folder], { encoding: 'utf8' }).split('\n')
  const record = join(paths.folder, file)
  writeFileSync(record, readFileSync(record, 'utf8').replace('web', 'wub'))
  t.match(await found(auditChain(at())), [{ severity: 'failure', message: /broken at record 1/ }])
})

await t.test('cron', async (t) => {
  const { at } = host(t)
  const alive = { ...at(), cron: () => ({ alive: true, flavour: 'debian' as const }) }
  const dead = { ...at(), cron: () => ({ alive: false, flavour: 'unknown' as const }) }
  t.same(await found(cron(alive, ['/nowhere/crontab', '/bin/sh'])), [])
  t.match(await found(cron(dead, ['/nowhere/crontab'])), [
    { message: /no crontab command/, fix: /apt-get install cron/ },
    { message: /no cron daemon runs/, fix: /systemctl enable --now cron/ },
  ])
  const timers = (one: DoctorHost) => found(cron(one, ['/bin/sh'], ['/nowhere/generator', '/bin/true']))
  t.match(await timers(dead), [
    { message: /^systemd-cron stands in/, evidence: '/bin/true', fix: /install cron$/ },
  ])
  t.same(await timers(alive), [], 'what is left of one that a daemon replaced')
})

await t.test('entries in crontabs', async (t) => {
  const { at, path } = host(t)
  mkdirSync(path('etc'))
  const debian = () => ({ ...at(), cron: () => ({ alive: true, flavour: 'debian' as const }) })
  const cronie = () => ({ ...at(), cron: () => ({ alive: true, flavour: 'cronie' as const }) })
  const owners = (one: DoctorHost = debian()) => found(cronOwners(one, path('etc')))
  const spool = () => found(cronSpool(at(), 2))
  t.equal(await owners(), UNASKED, 'there are no entries')
  t.equal(await spool(), UNASKED)
  mkdirSync(path('state/crontabs'))
  const entry = { id: 'job', name: 'Job', schedule: '@daily', command: '/bin/true', enabled: true }
  const record = (user: string) =>
    writeFileSync(
      path(`state/crontabs/${user}.json`),
      JSON.stringify({ version: 1, user, uid: 1501, lines: '', entries: [{ ...entry, id: user }] }),
    )
  record('alice')
  writeFileSync(path('etc/passwd'), 'alice:x:1501:1501::/home/alice:/bin/sh\n')
  t.same(await owners(), [])
  writeFileSync(path('etc/cron.deny'), 'bob\nalice\n')
  t.match(await owners(), [{ message: /alice may not have a crontab/, fix: /^sed -i '\/\^alice\$\/d' / }])
  t.same(await owners(cronie()), [], 'cronie asks who calls')
  writeFileSync(path('etc/cron.allow'), 'alice\n')
  t.same(await owners(), [])
  record('carol')
  writeFileSync(path('etc/cron.allow'), 'bob\n')
  t.match(await owners(), [
    { evidence: /cron\.allow does not name alice/ },
    { message: /carol .* is no user/ },
  ])
  for (const [line, message, fix] of [
    ['alice:*:19000:0:99999:7::19001:', /the account of alice has expired/, 'chage -E -1 alice'],
    ['alice:*:19000:0:30:7:::', /the password of alice has expired/, /^chage -M -1 -d /],
    ['alice:*:0:0:99999:7:::', /the password of alice has expired/, /^chage -M -1 -d /],
  ] as const) {
    writeFileSync(path('etc/shadow'), `${line}\n`)
    t.match(await owners(), [{ message, fix }, { message: /carol/ }], line)
  }
  writeFileSync(path('etc/shadow'), 'alice:!:19000:0:99999:7:::\n')
  t.match(await owners(), [{ evidence: /cron\.allow/ }, { message: /carol/ }], 'one without a password')

  chmodSync(path('spool'), 0o711)
  t.match(await spool(), [{ severity: 'failure', message: /cronrun is missing/, fix: /^install -D -m 755 / }])
  mkdirSync(path('spool/.bin'))
  writeFileSync(path('spool/.bin/cronrun'), '#!/bin/sh\n')
  chmodSync(path('spool/.bin/cronrun'), 0o755)
  chmodSync(path('spool/.bin'), 0o755)
  t.same(await spool(), [])
  chmodSync(path('spool/.bin'), 0o775)
  t.match(await spool(), [{ message: /\.bin can be changed by others/, evidence: /^mode 0775/ }])
  chmodSync(path('spool/.bin'), 0o755)
  mkdirSync(path('spool/alice'))
  for (const name of ['a', 'b', 'c']) writeFileSync(path(`spool/alice/${name}`), '')
  t.match(await spool(), [{ severity: 'warning', message: /alice is full/, evidence: '3 files' }])
})

await t.test('the zone of cron', async (t) => {
  const { path } = host(t)
  const zone = (flavour: 'debian' | 'cronie', startTicks: string) =>
    found(cronZone(() => ({ flavour, pid: 12, startTicks }), path('localtime')))
  t.equal(await zone('cronie', '1'), UNASKED)
  writeFileSync(path('localtime'), '')
  t.match(await zone('cronie', '1'), [{ message: /keeps the time zone/, fix: /restart crond/ }])
  t.equal(await zone('debian', '1'), UNASKED)
  t.same(await zone('cronie', String(10 ** 15)), [], 'started later')
})

await t.test('certificates', async (t) => {
  const { at, path } = host(t)
  t.equal(await found(tlsCertificate(at())), UNASKED)
  const ask = (days: number) => {
    const { cert, key } = makeCertificate(['localhost'], Date.now() + days * DAY_MS)
    writeFileSync(path('cert.pem'), cert)
    writeFileSync(path('key.pem'), key)
    return found(tlsCertificate(at({ listen: { tls: { cert: path('cert.pem'), key: path('key.pem') } } })))
  }
  t.same(await ask(0), [])
  t.match(await ask(-3640), [{ severity: 'warning', message: /ends at/ }])
  t.match(await ask(-3660), [{ severity: 'failure', message: /ended at/ }])
  t.match(await ask(9), [{ severity: 'failure', message: /good from/ }])
})

await t.test('descriptors of the agent', async (t) => {
  const { path } = host(t)
  t.same(await found(agentDescriptors()), [])
  mkdirSync(path('proc/fd'), { recursive: true })
  for (let fd = 0; fd < 9; fd++) writeFileSync(path(`proc/fd/${fd}`), '')
  writeFileSync(
    path('proc/limits'),
    'Max open files            10                   10                   files\n',
  )
  t.match(await found(agentDescriptors(path('proc'))), [{ message: /9 of 10/, fix: /LimitNOFILE/ }])
})

await t.test('the link to the panel, in words for each way that it ends', async (t) => {
  const { at, path } = host(t)
  const section = {
    url: 'ws://127.0.0.1:9/agents',
    tokenFile: path('credential'),
    joinTokenFile: path('join'),
  }
  const ask = (
    state: 'off' | 'connecting' | 'connected',
    lastClose?: { code?: number; reason: string },
    ageMs = 5_000,
  ) => {
    const since = new Date(Date.now() - ageMs).toISOString()
    const panel = () => ({ state, since, ...(lastClose ? { lastClose: { at: since, ...lastClose } } : {}) })
    return found(panelLink(at({ panel: section }), { ...AGENT, panel }))
  }
  t.equal(await ask('off'), UNASKED)
  t.same(await ask('connecting'), [], 'it has only begun')
  t.same(await ask('connected', { code: 1012, reason: 'it restarted' }), [])
  t.match(await ask('connecting', { code: 4401, reason: 'the panel closed the connection' }), [
    {
      severity: 'warning',
      evidence: /4401: .* does not know the credential/,
      fix: new RegExp(`rm -f ${path('credential')}`),
    },
  ])
  t.match(await ask('connecting', { reason: 'connect ECONNREFUSED 127.0.0.1:9' }, 120_000), [
    {
      severity: 'failure',
      message: /ECONNREFUSED/,
      evidence: /no connection came about/,
      fix: /^curl .*http:\/\/127\.0\.0\.1:9/,
    },
  ])
  t.match(await ask('connecting', { reason: 'its certificate is not the pinned one' }), [
    { fix: /^openssl s_client -connect 127\.0\.0\.1:9 / },
  ])
})

await t.test('every check has a name of its own and a question', async (t) => {
  const checks = hostChecks(host(t).at())
  t.equal(new Set(checks.map(({ name }) => name)).size, checks.length)
  for (const { name, question } of checks) {
    t.match(name, /^[a-z]+(?:-[a-z]+)*$/)
    t.match(question, /^[A-Z].*\?$/, name)
  }
})
