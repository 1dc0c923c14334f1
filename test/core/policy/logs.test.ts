// The judge on log files: supervisord opens them as root.
import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, lstatSync, symlinkSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { openingOf } from '../../../src/core/policy/log-folder.ts'
import type { PolicyRules, ProgramDefinition } from '../../../src/core/policy/subject.ts'
import { DEPLOYER, NOT_ROOT, PolicyHost, rulesOf } from './support.ts'

const web: ProgramDefinition = {
  name: 'web',
  command: '/usr/bin/env',
  user: 'www-data',
  stderrLogfile: 'NONE',
}
const DENIED = ['policy.logDirectories']

async function judge(
  host: PolicyHost,
  definition: Partial<ProgramDefinition>,
  rules: Partial<PolicyRules> = {},
) {
  return await host.policy(rules).judge({ kind: 'program', definition: { ...web, ...definition } }, DEPLOYER)
}

await t.test('roots of log files, wherever a link leads', async (t) => {
  const host = new PolicyHost(t)
  const deep = host.dir('log/deep')
  const other = host.dir('other')
  host.dir('logs')
  symlinkSync(other, host.path('log/out'))
  symlinkSync(deep, host.path('in'))
  const rows: { stdoutLogfile: string; against?: string[]; becomes?: string }[] = [
    { stdoutLogfile: `${host.logs}/web.log` },
    { stdoutLogfile: `${deep}/web.log` },
    { stdoutLogfile: `${host.path('in')}/web.log` },
    { stdoutLogfile: `${host.logs}/../log/web.log` },
    { stdoutLogfile: `${host.logs}/%(program_name)s_%(process_num)02d.log` },
    { stdoutLogfile: 'NONE' },
    { stdoutLogfile: 'off', becomes: 'NONE' },
    { stdoutLogfile: 'syslog' },
    { stdoutLogfile: 'AUTO', against: DENIED },
    { stdoutLogfile: 'auto', against: DENIED },
    { stdoutLogfile: `${other}/web.log`, against: DENIED },
    { stdoutLogfile: `${host.path('logs')}/web.log`, against: DENIED },
    { stdoutLogfile: `${host.logs}/out/web.log`, against: DENIED },
    { stdoutLogfile: `${host.logs}/../other/web.log`, against: DENIED },
    { stdoutLogfile: `${host.logs}/none/web.log`, against: DENIED },
    { stdoutLogfile: `${host.path('passwd')}/web.log`, against: DENIED },
    { stdoutLogfile: '/etc/cron.d/web', against: DENIED },
    { stdoutLogfile: '/dev/stdout', against: DENIED },
    { stdoutLogfile: '/proc/self/fd/1', against: DENIED },
    { stdoutLogfile: 'web.log', against: DENIED },
    { stdoutLogfile: '~root/web.log', against: DENIED },
    { stdoutLogfile: `${host.logs}/`, against: DENIED },
    { stdoutLogfile: host.logs, against: DENIED },
    { stdoutLogfile: deep, against: DENIED }, // a folder is no log
    { stdoutLogfile: `${host.logs}/%(ENV_X)s`, against: DENIED },
    { stdoutLogfile: `${host.logs}/%(here)s/x`, against: DENIED },
    { stdoutLogfile: `${host.logs}/a\nuser=root`, against: DENIED },
    { stdoutLogfile: '', against: DENIED },
  ]
  for (const { stdoutLogfile, against = [], becomes = stdoutLogfile } of rows) {
    const verdict = await judge(host, { stdoutLogfile })
    t.same(rulesOf(verdict), against, stdoutLogfile)
    if (against.length === 0) t.equal(verdict.resolved?.stdoutLogfile, becomes)
    else t.equal(verdict.violations[0]?.path, 'stdoutLogfile')
    const onError = await judge(host, { stdoutLogfile: 'NONE', stderrLogfile: stdoutLogfile })
    t.same(rulesOf(onError), against, 'stderr is judged alike')
    const joined = await judge(host, {
      stdoutLogfile: 'NONE',
      stderrLogfile: stdoutLogfile,
      redirectStderr: true,
    })
    t.same(rulesOf(joined), [], 'and not at all where there is none')
  }
  t.same(rulesOf(await judge(host, {}, { logDirectories: [] })), DENIED, 'no root is no log file')
  t.same(rulesOf(await judge(host, { stdoutLogfile: 'NONE' }, { logDirectories: [] })), [])
})

await t.test('a program that names no log gets one below the first root', async (t) => {
  const host = new PolicyHost(t)
  const both = await judge(host, { stderrLogfile: undefined })
  t.match(both.resolved, {
    stdoutLogfile: `${host.logs}/web.log`,
    stderrLogfile: `${host.logs}/web-error.log`,
  })
  const many = await judge(host, { stderrLogfile: undefined, processes: 2 })
  t.match(many.resolved, {
    stdoutLogfile: `${host.logs}/web_%(process_num)02d.log`,
    stderrLogfile: `${host.logs}/web_%(process_num)02d-error.log`,
  })
  const joined = await judge(host, { stderrLogfile: undefined, redirectStderr: true })
  t.equal(joined.resolved?.stderrLogfile, null)
})

await t.test('a log that is there already', async (t) => {
  const host = new PolicyHost(t)
  host.file('log/plain.log')
  host.file('log/target.log')
  const elsewhere = host.file('elsewhere')
  symlinkSync(host.path('log/target.log'), host.path('log/inner.log'))
  symlinkSync(elsewhere, host.path('log/outer.log'))
  symlinkSync(host.path('log/gone'), host.path('log/dangling.log'))
  symlinkSync('/dev/null', host.path('log/device.log'))
  symlinkSync(elsewhere, host.path('log/web_02.log'))
  const rows = [
    { name: 'plain.log', against: [] },
    { name: 'inner.log', against: [] },
    { name: 'outer.log', against: DENIED },
    { name: 'dangling.log', against: DENIED },
    { name: 'device.log', against: DENIED },
    { name: 'web_%(process_num)02d.log', processes: 2, against: [] },
    { name: 'web_%(process_num)02d.log', processes: 3, against: DENIED },
    { name: 'web_%(process_num)02d.log', processes: 1, numprocsStart: 2, against: DENIED },
  ]
  for (const { name, against, ...more } of rows)
    t.same(rulesOf(await judge(host, { stdoutLogfile: `${host.logs}/${name}`, ...more })), against, name)
})

await t.test('every folder on the real path', { skip: NOT_ROOT }, async (t) => {
  const W = 33
  const rows: {
    it: string
    of?: string
    uid?: number
    gid?: number
    mode: number
    ok: boolean
    forUser?: boolean
  }[] = [
    { it: 'of root', mode: 0o755, ok: true },
    { it: 'hidden', mode: 0o700, ok: true },
    { it: 'of the group root', mode: 0o775, ok: false },
    { it: 'of a group', gid: 1500, mode: 0o775, ok: false },
    { it: 'open to all', mode: 0o777, ok: false },
    { it: 'sticky itself: a link could lie there first', mode: 0o1777, ok: false },
    { it: "of the program's user", uid: W, gid: W, mode: 0o755, ok: false, forUser: true },
    { it: "of the program's user and group", uid: W, gid: W, mode: 0o775, ok: false, forUser: true },
    { it: "of the program's user, open to all", uid: W, gid: W, mode: 0o777, ok: false },
    { it: 'of somebody else', uid: 1500, gid: 1500, mode: 0o755, ok: false },
    { it: 'root above, of a group', of: 'log', gid: 1500, mode: 0o775, ok: false },
    { it: 'root above, sticky', of: 'log', gid: 1500, mode: 0o1777, ok: true },
    { it: 'sticky, but of somebody else', of: 'log', uid: 1500, mode: 0o1755, ok: false },
    { it: 'above the root of logs', of: '.', uid: 1500, mode: 0o755, ok: false },
    { it: 'above the root of logs, open', of: '.', mode: 0o777, ok: false },
  ]
  for (const { it, of = 'log/deep', uid = 0, gid = 0, mode, ok, forUser = ok } of rows)
    await t.test(it, async (t) => {
      const host = new PolicyHost(t)
      const deep = host.dir('log/deep')
      const folder = host.path(of)
      chownSync(folder, uid, gid)
      chmodSync(folder, mode)
      const stdoutLogfile = `${deep}/web.log`
      const verdict = await judge(host, { stdoutLogfile })
      t.same(rulesOf(verdict), ok ? [] : DENIED)
      if (!ok) t.match(verdict.violations[0]?.text, folder.replace(/\/\.$/, ''), 'the text names the folder')
      const allowed = await judge(host, { stdoutLogfile }, { allowUserLogDirectories: true })
      t.same(rulesOf(allowed), forUser ? [] : DENIED, 'with allowUserLogDirectories')
    })

  await t.test('what is pasted from the refusal opens it', async (t) => {
    // as on Ubuntu: the group of rsyslog may write /var/log
    const host = new PolicyHost(t)
    const above = host.path('var log')
    const own = host.dir('var log/supervisor')
    const rules = { logDirectories: [own] }
    const text = async (more: Partial<PolicyRules> = {}) => {
      const verdict = await judge(host, { stdoutLogfile: `${own}/web.log` }, { ...rules, ...more })
      return verdict.violations[0]?.text
    }
    t.equal(await text(), undefined)
    chownSync(above, 0, 104)
    chmodSync(above, 0o775)
    const refused = (await text()) ?? ''
    t.match(refused, `${above} is writable by the group 104 (mode 0775)`)
    t.match(refused, `As root: chmod +t '${above}' (policy.`, 'and nothing more')
    t.equal(await text({ allowUserLogDirectories: true }), refused, 'syslog is not the user of the program')
    chownSync(own, 1500, 1500)
    chmodSync(own, 0o2775)
    const commands = /As root: (.*) \(policy\./.exec((await text()) ?? '')?.[1] ?? ''
    t.equal(commands, `chmod +t '${above}' && chown root '${own}' && chmod go-w '${own}'`)
    t.equal(spawnSync('/bin/sh', ['-c', commands]).status, 0)
    t.equal(await text(), undefined)
  })

  await t.test('where the next boot would take it back, the text says what lasts', async (t) => {
    const nobody = { uids: new Set([0]), gids: new Set<number>() }
    const host = new PolicyHost(t)
    const stats = lstatSync(host.dir('log', 0o775))
    const lasting = /z \/var\/log 1775 root syslog -' > \/etc\/tmpfiles\.d\/00rsyslog\.conf$/
    t.match(openingOf({ path: '/var/log', stats }, false, nobody), { cure: 'chmod +t /var/log', lasting })
    t.notHas(openingOf({ path: '/srv/log', stats }, false, nobody), { lasting })
    t.match(openingOf({ path: '/var/log', stats }, true, nobody), { cure: 'chmod go-w /var/log' })
  })

  await t.test("folders of supervisord's own user are as good as root's to it", async (t) => {
    const host = new PolicyHost(t)
    chownSync(host.logs, 1500, 0)
    t.same(rulesOf(await judge(host, { stdoutLogfile: `${host.logs}/web.log` })), DENIED)
    host.facts = { uid: 1500, searchPath: null }
    t.same(rulesOf(await judge(host, { stdoutLogfile: `${host.logs}/web.log` })), [])
  })

  await t.test('a link to the folder that others can turn is replaced by the folder', async (t) => {
    const host = new PolicyHost(t)
    const open = host.dir('open', 0o777)
    symlinkSync(host.logs, `${open}/logs`)
    const verdict = await judge(host, { stdoutLogfile: `${open}/logs/web.log` })
    t.equal(verdict.resolved?.stdoutLogfile, `${host.logs}/web.log`)
  })

  await t.test('what was judged holds until the folder is another one', async (t) => {
    const host = new PolicyHost(t)
    const policy = host.policy()
    const definition = { ...web, stdoutLogfile: `${host.logs}/web.log` }
    const verdict = await policy.judge({ kind: 'program', definition }, DEPLOYER)
    t.equal(await policy.stillHolds(verdict), true)
    writeFileSync(definition.stdoutLogfile, 'a line\n')
    t.equal(await policy.stillHolds(verdict), true)
    const { renameSync } = await import('node:fs')
    renameSync(host.logs, `${host.logs}.old`)
    t.equal(await policy.stillHolds(verdict), false)
    host.dir('log')
    t.equal(await policy.stillHolds(verdict), false)
  })
})

await t.test('of a program that others wrote, user and logs alone are judged', async (t) => {
  const host = new PolicyHost(t)
  const policy = host.policy({ commands: ['never'], maxProcesses: 1 })
  const foreign = (definition: Partial<ProgramDefinition>) =>
    policy.judge(
      { kind: 'foreign', definition: { ...web, command: '/opt/x', processes: 9, ...definition } },
      DEPLOYER,
    )
  t.same(rulesOf(await foreign({})), [])
  t.same(rulesOf(await foreign({ user: 'root' })), ['policy.allowRoot'])
  t.same(rulesOf(await foreign({ stdoutLogfile: '/etc/passwd' })), DENIED)
})
