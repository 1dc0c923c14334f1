// Files as hands leave them, taken over while their programs run: what can be carried is carried byte for byte, the rest
// is refused with its reason, and nothing restarts.
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ADMIN } from '../../fixtures/stack.ts'
import { until } from '../../fixtures/wait.ts'
import { programHost } from './host.ts'

const RUNS = 'command=/bin/sleep 300\nstartsecs=0\nstdout_logfile=NONE\nredirect_stderr=true\n'

interface Carried {
  it: string
  name: string
  /** Below the folder of supervisord. */
  file: string
  /** Its text in three parts: what stays before, what moves, what stays behind it. */
  text: [before: string, own: string, behind: string]
}

const carried: Carried[] = [
  {
    it: 'line ends of Windows, comments at the end of lines, a key that nobody knows',
    name: 'crlf',
    file: 'conf.d/crlf.conf',
    text: [
      '',
      '; for the shop\r\n[program:crlf]\r\ncommand=/bin/sleep 300 ; long\r\nstartsecs=0\r\n\r\n# mine\r\nx_own = yes\r\nredirect_stderr=true\r\nstdout_logfile=NONE\r\n',
      '',
    ],
  },
  {
    it: 'values over several lines, with a comment among them',
    name: 'lines',
    file: 'conf.d/lines.conf',
    text: [
      '',
      '[program:lines]\ncommand=/bin/sleep\n    300\n; what it needs\nenvironment=A="1",\n  ; and\n\tB="2"\nstartsecs=0\nstdout_logfile=NONE\nredirect_stderr=true\n',
      '',
    ],
  },
  {
    it: 'keys that are there twice, the last one in force; capitals, colons, tabs, no last line end',
    name: 'twice',
    file: 'conf.d/twice.conf',
    text: [
      '',
      '[program:twice]\ncommand=/bin/false\nPriority : 7\nstartsecs\t=\t0\ncommand=/bin/sleep 300\nstdout_logfile=NONE\nstdout_logfile=NONE\nredirect_stderr: true',
      '',
    ],
  },
  {
    it: 'a section in two pieces between those of others',
    name: 'pieces',
    file: 'conf.d/pieces.conf',
    text: [
      `; of the mail\n[program:mail]\n${RUNS}\n`,
      `; of the pieces\n[program:pieces]\n${RUNS}\n`,
      `[program:chat]\n${RUNS}\n[program:pieces]\npriority=5\n`,
    ],
  },
  {
    it: 'the folder of its own file, which is that of ours',
    name: 'near',
    file: 'conf.d/near.conf',
    text: ['', `[program:near]\ndirectory=%(here)s\nenvironment=AT="%(here)s/x"\n${RUNS}`, ''],
  },
  {
    it: 'a file of another folder, alone in it',
    name: 'far',
    file: 'more/far.conf',
    text: ['# all about it\n\n', `[program:far]\n${RUNS}numprocs=2\nprocess_name=w%(process_num)d\n`, ''],
  },
  {
    it: 'a program in the main file',
    name: 'main',
    file: 'supervisord.conf',
    text: [
      'MAIN\n',
      `; old habits\n[program:main]\n${RUNS}\n`,
      '; the end\n[program:last]\nautostart=false\ncommand=/bin/cat\n',
    ],
  },
]

interface Refused {
  it: string
  name: string
  files: Record<string, string>
  says: { path: string; message: RegExp }
}

const refused: Refused[] = [
  {
    it: 'a program in a group',
    name: 'member',
    files: {
      'conf.d/member.conf': `[program:member]\n${RUNS}`,
      'conf.d/group.conf': '[group:team]\nprograms=member\n',
    },
    says: {
      path: 'name',
      message: /^it is in \[group:team\], whose processes have other names: take it out of "programs"/,
    },
  },
  {
    it: 'the folder of its own file, which is another than that of ours',
    name: 'away',
    files: { 'more/away.conf': `[program:away]\ndirectory=%(here)s\n${RUNS}` },
    says: { path: 'directory', message: /^%\(here\)s would be \S+conf\.d: write the folder in full first/ },
  },
  {
    it: 'a program of two files',
    name: 'split',
    files: {
      'conf.d/split.conf': `[program:split]\n${RUNS}`,
      'more/split.conf': '; and in the other\n[program:split]\npriority=5\n',
    },
    says: {
      path: 'name',
      message: /^\[program:split\] goes on in \S+more\/split\.conf:2: put it into one file first/,
    },
  },
  {
    it: 'a name that no program of ours can have',
    name: 'shop+queue',
    files: { 'conf.d/space.conf': `[program:shop+queue]\n${RUNS}` },
    says: { path: 'name', message: /^a managed program cannot be called so: .*rename it in/ },
  },
  {
    it: 'a file behind a link',
    name: 'linked',
    files: { 'linked.txt': `[program:linked]\n${RUNS}` },
    says: { path: 'file', message: /linked\.conf: it is a symbolic link/ },
  },
]

await t.test('hand-made files', async (t) => {
  const { change, host, stack, pids } = await programHost(t, { listener: false })
  mkdirSync(join(host.folder, 'more'))
  const main = readFileSync(host.configFile, 'utf8').replace('conf.d/*.conf', 'conf.d/*.conf more/*.conf')
  const write = (name: string, text: string) =>
    writeFileSync(join(host.folder, name), text.replace('MAIN', main))
  const read = (name: string) => readFileSync(join(host.folder, name), 'utf8')
  for (const { file, text } of carried) write(file, text.join(''))
  for (const { files } of refused) for (const [name, text] of Object.entries(files)) write(name, text)
  symlinkSync('../linked.txt', join(host.programDir, 'linked.conf'))
  const { code, stdout } = await host.ctl('update')
  t.equal(code, 0, stdout)
  for (const { name } of carried) await stack.waitState(name === 'far' ? 'far:w1' : name, 'RUNNING')

  for (const { it, name, file, text } of carried)
    await t.test(it, async (t) => {
      const running = pids(name)
      const [before, own, behind] = text.map((part) => part.replace('MAIN', main))
      const isAlone = name !== 'main' && name !== 'pieces'
      const { program } = await change({ action: 'adopt', name })
      t.match(program, { source: 'managed', drift: false, running: Object.keys(running).length })
      const [head = '', ...rest] = read(`conf.d/agent-${name}.conf`).split(/(?<=\n)/)
      t.match(head, /^; supervisor-agent: program \S+, revision [0-9a-f]{16}\r?\n$/)
      const moved = name === 'pieces' ? `${own}[program:pieces]\npriority=5\n` : own
      t.equal(rest.join(''), isAlone ? text.join('') : moved, 'every byte of it moved')
      if (isAlone) t.throws(() => read(file), { code: 'ENOENT' }, 'the file held nothing else')
      else t.equal(read(file), before + (behind ?? '').replace('[program:pieces]\npriority=5\n', ''))
      t.same(pids(name), running, 'nothing restarted')
    })
  const running = carried.map(({ name }) => pids(name))
  await host.ctl('update')
  await stack.stack.observer.reconcile()
  t.same(
    carried.map(({ name }) => pids(name)),
    running,
    'nor did a person who updates restart any',
  )
  for (const { name } of carried)
    await t.test(`${name}, changed`, async (t) => {
      const before = read(`conf.d/agent-${name}.conf`)
        .split(/(?<=\n)/)
        .slice(1)
      const { program } = await change({ action: 'disable', name })
      t.match(program, { running: 0, drift: false, definition: { autostart: false } })
      const after = read(`conf.d/agent-${name}.conf`)
        .split(/(?<=\n)/)
        .slice(1)
      const added = after.filter((line) => line.startsWith('autostart'))
      t.match(added, [/^autostart\s*[=:]\s*false(?:\r?\n)?$/], name)
      t.equal(
        after
          .filter((line) => !added.includes(line))
          .join('')
          .trimEnd(),
        before.join('').trimEnd(),
        'all else is as it was',
      )
    })

  for (const { it, name, files, says } of refused)
    await t.test(it, async (t) => {
      await t.rejects(change({ action: 'adopt', name }), {
        code: 'PROGRAM_INVALID',
        facts: { issues: [says] },
      })
      for (const [file, text] of Object.entries(files)) t.equal(read(file), text)
    })
})

await t.test('an edit that supervisord has not read, and that does not come up', async (t) => {
  const { change, tree, pids, programs, stack, host } = await programHost(t)
  const file = 'agent-web.conf'
  const write = (text: string) => writeFileSync(join(host.programDir, file), text)
  const put = async (command: string, processes: number) =>
    await change(
      {
        action: 'put',
        definition: { name: 'web', command, processes, startSecs: 0 },
        ifRevision: (await programs.service.get('web', ADMIN).catch(() => null))?.revision,
      },
      { verifyMs: 0 },
    )
  const run = (wanted: string) =>
    until(() => {
      const commands = Object.values(pids('web')).map((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
      return commands.length > 0 && commands.every((command) => command.split('\0')[1] === wanted)
    }, `${wanted} to run`)
  await put('/bin/sleep 603', 3)
  await t.test('as many run as did, whatever numbers or names it asks for', async (t) => {
    await host.ctl('stop', 'web:web_00')
    await stack.waitState('web:web_00', 'STOPPED')
    const whole = tree()[file] ?? ''
    const alone = whole.replace(/^process_name=.*\n/m, '').replace(/numprocs=3/, 'numprocs=1')
    for (const text of [
      whole.replace('numprocs=3', 'numprocs=1'),
      whole.replace('numprocs=3', 'numprocs=2\nnumprocs_start=5'),
      alone,
    ]) {
      write(text.replace('sleep 603', 'false'))
      await t.rejects(change({ action: 'adopt', name: 'web' }), { code: 'ROLLED_BACK' })
      await stack.stack.observer.reconcile()
      const entries = stack.stack.table.all().filter(({ group }) => group === 'web')
      t.strictSame(
        entries.map(({ name, state }) => `${name} ${state}`).toSorted(),
        ['web:web_00 STOPPED', 'web:web_01 RUNNING', 'web:web_02 RUNNING'],
        text,
      )
    }
    write(whole)
  })
  await t.test('the file of an earlier revision likewise', async (t) => {
    const followed = join(host.folder, 'followed')
    writeFileSync(followed, '')
    const first = await put(`/usr/bin/tail -f ${followed}`, 1)
    const text = tree()[file] ?? ''
    await put('/bin/sleep 604', 1)
    await run('604')
    write(text)
    rmSync(followed)
    const restore = { action: 'restore' as const, name: 'web', revision: first.program?.revision ?? '' }
    await t.rejects(change(restore), { code: 'ROLLED_BACK' })
    t.equal(tree()[file], text)
    await run('604')
    writeFileSync(followed, '')
    await host.ctl('update', 'web')
    await run('-f')
    const scaled = await change({ action: 'scale', name: 'web', processes: 3 })
    t.match(scaled.actions, [{ action: 'scale' }])
    t.strictSame(scaled.started, ['web.surge1:web_01', 'web.surge1:web_02'], 'it tells what it did')
    t.strictSame(scaled.stopped, [])
  })
})
