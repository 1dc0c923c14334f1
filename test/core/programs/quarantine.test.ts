// A file of somebody else that makes supervisord refuse all of its files: every change is refused with its name and
// line, and on a person's word on admin.sock it is put aside, and taken back when it was mended.
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { LOCAL_ADMIN } from '../../../src/core/access/local-principals.ts'
import { supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'
import { parts } from '../../server/support.ts'

const GOOD =
  '[program:shop]\ncommand=/bin/sleep 300\nstdout_logfile=NONE\nredirect_stderr=true\nstartsecs=0\n'

await t.test('a file that blocks supervisord', async (t) => {
  const host = await supervisord(t, {
    programs: { other: { command: '/bin/sleep 300', startsecs: 0 } },
  })
  const { open, services } = await parts(t, { url: host.url, policy: { logDirectories: [host.logDir] } })
  await until(() => services.supervisor.brief().state === 'running', 'supervisord to be known')
  const admin = open()
  const file = join(host.programDir, 'shop.conf')
  const aside = `${file}.quarantined`
  const quarantine = (path: string, undo = false) =>
    admin.call('program.quarantine', { file: path, ...(undo ? { undo } : {}) })
  const web = { name: 'web', command: '/bin/sleep 300', startSecs: 0 }
  const put = () => admin.call('program.put', { definition: web, verifyMs: 0 })
  const tree = () =>
    Object.fromEntries(
      readdirSync(host.programDir)
        .toSorted()
        .map((name) => [name, readFileSync(join(host.programDir, name), 'utf8')]),
    )

  await t.test('is named with its line by every change, and nothing is done', async (t) => {
    const rows: { it: string; text: string; line: number; message: RegExp }[] = [
      { it: 'a stray line', text: `${GOOD}stray\n`, line: 6, message: /no "="/ },
      { it: 'no section', text: 'stray\n', line: 1, message: /before the first/ },
      { it: 'a value', text: `${GOOD}; why\nstopwaitsecs=soon\n`, line: 7, message: /soon is no integer/ },
      { it: 'a user', text: `${GOOD}user=nosuchuser\n`, line: 6, message: /no user nosuchuser/ },
      {
        it: 'a plugin, which supervisord alone sees',
        text: `\n[eventlistener:mail]\ncommand=/bin/cat\nevents=TICK_5\nresult_handler=no.such:handler\n`,
        line: 2,
        message: /no\.such:handler cannot be resolved/,
      },
    ]
    for (const { it, text, line, message } of rows) {
      writeFileSync(file, text)
      const before = tree()
      const { error } = await put()
      t.equal(error?.data.name, 'CONFIG_BROKEN', it)
      t.match(error?.message, `${file}:${line}: `, it)
      t.match(error?.message, `agent program quarantine ${file}`, it)
      t.match(error?.data['faults'], [{ file, line, message }], it)
      t.same(tree(), before, it)
    }
  })

  await t.test('stays for everybody but who is at the host', async (t) => {
    const before = tree()
    for (const principal of [
      { ...LOCAL_ADMIN, isAbovePolicy: false },
      { ...LOCAL_ADMIN, isAbovePolicy: false, isRemote: true },
    ]) {
      const params = { file, idempotencyKey: 'aside-0001' }
      const { error } = await open(principal).call('program.quarantine', params)
      t.match(error?.data, { name: 'FORBIDDEN', rule: 'admin.sock' })
    }
    t.same(tree(), before)
  })

  await t.test('is put aside, and the change is done', async (t) => {
    const text = readFileSync(file, 'utf8')
    const { result } = await quarantine(file)
    t.match(result, { from: file, to: aside, faults: [] })
    t.equal(readFileSync(aside, 'utf8'), text, 'as it was')
    t.notOk(existsSync(file))
    t.match((await put()).result, { program: { running: 1 } })
    t.match((await quarantine(file)).error?.message, 'supervisord reads no such file')
    const { result: audit } = await admin.call('audit.list', { limit: 50 })
    t.match(JSON.stringify(audit), /"method":"program.quarantine","subject":\["[^"]+shop\.conf"\]/)
  })

  await t.test('comes back once it is mended', async (t) => {
    const before = tree()
    t.match((await quarantine(file, true)).error, {
      message: /shop\.conf:2: no\.such:handler cannot be resolved/,
      data: { name: 'CONFIG_BROKEN' },
    })
    writeFileSync(aside, `${GOOD}startretries=x\n`)
    t.match((await quarantine(file, true)).error, {
      message: /shop\.conf:6: /,
      data: { name: 'CONFIG_BROKEN' },
    })
    t.same(tree(), { ...before, 'shop.conf.quarantined': `${GOOD}startretries=x\n` })
    writeFileSync(aside, GOOD)
    t.match((await quarantine(file, true)).result, { from: aside, to: file, faults: [] })
    t.equal(readFileSync(file, 'utf8'), GOOD)
    t.notOk(existsSync(aside))
    t.equal((await host.ctl('update', 'shop')).code, 0)
    await until(async () => /RUNNING/.test((await host.ctl('status', 'shop')).stdout), 'shop to run')
  })

  await t.test('a link is moved as a link', async (t) => {
    const target = join(host.folder, 'site.txt')
    const link = join(host.programDir, 'linked.conf')
    writeFileSync(target, 'stray\n')
    symlinkSync('../site.txt', link)
    t.match((await quarantine(link)).result, { from: link })
    t.equal(readFileSync(target, 'utf8'), 'stray\n')
    writeFileSync(target, '')
    t.match((await quarantine(link, true)).result, { to: link })
    unlinkSync(link)
  })

  await t.test('what is needed, or is no such file, is refused and stays', async (t) => {
    const broken = `${GOOD}stray\n`
    await until(
      () =>
        services.processes
          .list(undefined, LOCAL_ADMIN)
          .processes.some(({ name, pid }) => name === 'shop' && pid),
      'shop to be known',
    )
    const rows: { it: string; name: string; files: Record<string, string>; says: RegExp }[] = [
      { it: 'a sound file', name: 'shop.conf', files: {}, says: /supervisord takes it/ },
      {
        it: 'a sound file beside a broken one',
        name: 'other.conf',
        files: { 'new.conf': 'stray\n' },
        says: /supervisord takes it/,
      },
      {
        it: 'one of a running program',
        name: 'shop.conf',
        files: { 'shop.conf': broken },
        says: /shop of it is running/,
      },
      {
        it: 'one with a section of supervisord',
        name: 'main.conf',
        files: { 'main.conf': '[supervisord]\nloglevel=loud\n' },
        says: /\[supervisord\], which the running supervisord needs/,
      },
      {
        it: 'one that another file needs',
        name: 'member.conf',
        files: {
          'member.conf': '[program:member]\ncommand=/bin/cat\nstartsecs=x\n',
          'group.conf': '[group:all]\nprograms=member\n',
        },
        says: /without it \S+group\.conf:2: there is no program member/,
      },
      {
        it: 'one whose place is taken',
        name: 'new.conf',
        files: { 'new.conf': 'stray\n', 'new.conf.quarantined': 'older\n' },
        says: /is there already/,
      },
      { it: 'no file', name: 'nothing.conf', files: {}, says: /reads no such file/ },
      { it: 'the main file', name: '../supervisord.conf', files: {}, says: /main file/ },
      {
        it: 'a file elsewhere',
        name: '../elsewhere.conf',
        files: { '../elsewhere.conf': 'stray\n' },
        says: /reads no such/,
      },
    ]
    const sound = tree()
    for (const { it, name, files, says } of rows) {
      for (const [path, text] of Object.entries(files)) writeFileSync(join(host.programDir, path), text)
      const before = tree()
      const path = join(host.programDir, name)
      t.match((await quarantine(path)).error, { message: says, data: { name: 'PROGRAM_INVALID' } }, it)
      t.same(tree(), before, it)
      for (const one of Object.keys(files))
        if (sound[one] === undefined) unlinkSync(join(host.programDir, one))
        else writeFileSync(join(host.programDir, one), sound[one])
    }
    t.match((await quarantine(file, true)).error?.message, 'there is no ')
    writeFileSync(aside, GOOD)
    t.match((await quarantine(file, true)).error?.message, 'is there again')
    renameSync(aside, join(host.programDir, 'odd.txt.quarantined'))
    t.match((await quarantine(join(host.programDir, 'odd.txt'), true)).error?.message, 'no glob of [include]')
  })

  await t.test('is refused where a glob would take it under any name', async (t) => {
    const text = readFileSync(host.configFile, 'utf8')
    writeFileSync(host.configFile, text.replace('conf.d/*.conf', 'conf.d/*'))
    writeFileSync(join(host.programDir, 'new'), 'stray\n')
    t.match((await quarantine(join(host.programDir, 'new'))).error?.message, 'supervisord would read')
  })
})
