// Programs against a real supervisord: put, change, scale, delete, adopt, restore, and what comes of failures.
import { readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { PresetBook } from '../../../src/core/programs/presets/book.ts'
import { PRESETS } from '../../../src/core/programs/presets/index.ts'
import { ADMIN } from '../../fixtures/stack.ts'
import { until } from '../../fixtures/wait.ts'
import { programHost } from './host.ts'

const sleeper = (name: string, more: object = {}) => ({
  name,
  command: '/bin/sleep 600',
  processes: 1,
  ...more,
})

await t.test('a program is created, changed, scaled, disabled, enabled, deleted and restored', async (t) => {
  const {
    change: verified,
    tree,
    pids,
    stack,
    host,
  } = await programHost(t, {
    programs: { other: { command: 'sleep 60' } },
  })
  const change = (wish: Parameters<typeof verified>[0]) => verified(wish, { verifyMs: 0 })
  const other = tree()['other.conf']
  await stack.waitState('other', 'RUNNING')
  const otherPid = stack.stack.table.need('other').pid

  const put = await verified({ action: 'put', definition: sleeper('web', { processes: 2, startSecs: 0 }) })
  t.match(put.program, { name: 'web', source: 'managed', processes: 2, running: 2, drift: false })
  t.strictSame(Object.keys(pids('web')), ['web:web_00', 'web:web_01'])
  t.strictSame(put.actions, [{ group: 'web', action: 'add', processes: ['web:web_00', 'web:web_01'] }])
  t.strictSame(
    readdirSync(host.programDir).filter((name) => name.startsWith('.')),
    [],
    'no temporary files',
  )

  const first = pids('web')
  const up = await change({ action: 'scale', name: 'web', processes: 5 })
  t.match(up.program, { processes: 5, running: 5 })
  t.match(pids('web'), first, 'no pid was replaced')
  t.strictSame(Object.keys(pids('web')).length, 5)
  for (const select of ['web', 'web:*', 'web:', 'all'])
    t.strictSame(
      stack.stack.processes
        .select([select], ADMIN)
        .flatMap(({ name, program }) => (program === 'web' ? [name] : [])),
      Object.keys(pids('web')),
      `${select} means those of its surge groups too`,
    )

  const down = await change({ action: 'scale', name: 'web', processes: 1 })
  t.match(down.program, { processes: 1, running: 1 })
  t.equal(pids('web')['web:web_00'], first['web:web_00'])
  t.equal(down.program?.instances.length, 1, 'what was stopped is not shown')
  t.strictSame(
    readdirSync(host.programDir).filter((name) => name.includes('surge')),
    [],
  )

  const again = await change({ action: 'scale', name: 'web', processes: 3 })
  t.match(again.program, { processes: 3, running: 3 })
  t.match(pids('web'), { 'web:web_00': first['web:web_00'] })

  const changed = await change({
    action: 'put',
    definition: sleeper('web', { processes: 2, startSecs: 0, command: '/bin/sleep 601' }),
  })
  t.match(changed.program, { processes: 2, running: 2 })
  t.equal(changed.actions[0]?.action, 'restart')
  t.not(pids('web')['web:web_00'], first['web:web_00'])

  const off = await change({ action: 'disable', name: 'web' })
  t.match(off.program, { running: 0, definition: { autostart: false } })
  t.strictSame(pids('web'), {})
  const on = await change({ action: 'enable', name: 'web' })
  t.match(on.program, { running: 2, definition: { autostart: true } })

  const gone = await change({ action: 'delete', name: 'web' })
  t.equal(gone.program, null)
  t.strictSame(Object.keys(tree()), ['agent-listener.conf', 'other.conf'])
  t.strictSame(pids('web'), {})
  const back = await change({ action: 'restore', name: 'web', revision: changed.program?.revision ?? '' })
  t.match(back.program, { running: 2, revision: changed.program?.revision })

  t.equal(tree()['other.conf'], other, 'foreign files are as they were')
  t.equal(stack.stack.table.need('other').pid, otherPid)
})

await t.test('a program that does not come up leaves what was before', async (t) => {
  const { change, tree, pids, stack } = await programHost(t)
  await change({ action: 'put', definition: sleeper('web') })
  const before = { tree: tree(), pids: pids('web') }
  await t.rejects(
    change({
      action: 'put',
      definition: sleeper('web', { command: '/bin/sh -c "echo no such table; exit 3"' }),
    }),
    { code: 'ROLLED_BACK', facts: { logTail: /no such table/ } },
  )
  t.strictSame(tree(), before.tree)
  await stack.waitState('web:web_00', 'RUNNING')
  await t.rejects(change({ action: 'put', definition: sleeper('bad', { command: '/bin/false' }) }), {
    code: 'ROLLED_BACK',
  })
  t.strictSame(tree(), before.tree, 'a new one leaves nothing')
  t.strictSame(pids('bad'), {})
  t.ok(stack.events().some(({ type }) => type === 'program.rolledBack'))
})

await t.test('what was stopped before is stopped again, and what ran runs', async (t) => {
  const { change, stack, host } = await programHost(t)
  const { table } = stack.stack
  const states = () =>
    Object.fromEntries(
      table
        .all()
        .filter(({ program }) => program === 'web')
        .map(({ process, pid }) => [process, pid === null ? 'down' : 'up']),
    )
  for (const autostart of [true, false]) {
    const web = (more: object = {}) => ({
      action: 'put' as const,
      definition: sleeper('web', { startSecs: 0, processes: 3, autostart, ...more }),
    })
    await change(web(), { verifyMs: 0 })
    for (const [process, is] of [
      ['web:web_00', 'start'],
      ['web:web_01', 'stop'],
      ['web:web_02', 'start'],
    ] as const)
      await host.ctl(is, process)
    const before = { web_00: 'up', web_01: 'down', web_02: 'up' }
    await until(() => isDeepStrictEqual(states(), before), 'all to be as it is before')
    const failing = { command: '/bin/false', startSecs: 1, startRetries: 0, processes: 2 }
    await t.rejects(change(web(failing)), { code: 'ROLLED_BACK' })
    await until(() => isDeepStrictEqual(states(), before), `autostart=${autostart}: all to be as it was`)
    await change({ action: 'delete', name: 'web' })
  }
})

await t.test('a program that ends all the time is deleted all the same', async (t) => {
  const { change, stack } = await programHost(t)
  const flapping = sleeper('flap', {
    command: '/bin/sh -c "sleep 0.1; exit 1"',
    startSecs: 0,
    autorestart: true,
    processes: 5,
  })
  for (let round = 0; round < 3; round++) {
    await change({ action: 'put', definition: flapping }, { verifyMs: 0 })
    await change({ action: 'delete', name: 'flap' })
    t.notOk(stack.stack.table.all().some(({ group }) => group === 'flap'))
  }
})

await t.test('options that show in no file are kept too', async (t) => {
  const { change, programs, tree } = await programHost(t, {
    listener: false,
    presets: new PresetBook(PRESETS),
  })
  const put = (more: object = {}) =>
    change(
      {
        action: 'put',
        definition: {
          name: 'web',
          preset: 'custom',
          startSecs: 0,
          options: { executable: '/bin/sleep', args: ['600'], ...more },
        },
      },
      { verifyMs: 0 },
    )
  await put()
  const before = tree()
  const { program, actions } = await put({ reloadSignal: 'HUP' })
  t.match(actions, [{ action: 'none' }])
  t.match(program?.definition.options, { reloadSignal: 'HUP' })
  t.match((await programs.service.get('web', ADMIN)).definition.options, { reloadSignal: 'HUP' })
  await put({ reloadSignal: 'HUP' })
  t.match(
    (await programs.service.history('web', ADMIN)).map(({ current }) => current),
    [true, false],
  )
  t.strictSame(tree(), before)
})

await t.test('a program whose file is a link is shown, and told how it can be taken over', async (t) => {
  const { change, programs, host } = await programHost(t, { listener: false })
  const real = join(host.folder, 'shop.conf')
  writeFileSync(real, '[program:shop]\ncommand=/bin/sleep 600\nstdout_logfile=NONE\n')
  symlinkSync(real, join(host.programDir, 'shop.conf'))
  const [shown] = await programs.service.list(ADMIN)
  t.match(shown, { name: 'shop', source: 'foreign', definition: { command: '/bin/sleep 600' } })
  t.same(await programs.service.get('shop', ADMIN), shown)
  await t.rejects(change({ action: 'adopt', name: 'shop' }), {
    code: 'PROGRAM_INVALID',
    message: /shop\.conf: it is a symbolic link: put the file itself in its place first/,
  })
})

await t.test('a hand-made file is taken over as it is', async (t) => {
  const { change, tree, pids, host, stack } = await programHost(t)
  const hand = [
    '; of the shop\n[program:shop]\ncommand=/bin/sleep 600 ; nap\n# twice\nnumprocs=2\n',
    `process_name=%(program_name)s_%(process_num)02d\nx_own=1\nstdout_logfile=${host.logDir}/shop.log\nredirect_stderr=true\n`,
    '\n; of the mail\n[program:mail]\ncommand=/bin/sleep 601\n',
  ]
  writeFileSync(join(host.programDir, 'hand.conf'), hand.join(''))
  await host.ctl('update')
  await stack.waitState('shop:shop_01', 'RUNNING')
  const before = pids('shop')
  const { program } = await change({ action: 'adopt', name: 'shop' })
  t.match(program, { source: 'managed', processes: 2, running: 2 })
  t.strictSame(pids('shop'), before, 'nothing restarts')
  t.equal(tree()['hand.conf'], hand[2]?.trimStart())
  t.match(
    tree()['agent-shop.conf'],
    /; of the shop\n\[program:shop\]\ncommand=\/bin\/sleep 600 ; nap\n# twice\n/,
  )
  t.match(tree()['agent-shop.conf'], /x_own=1/)
  await host.ctl('update')
  t.strictSame(pids('shop'), before, 'nor does an update')
  await change({ action: 'scale', name: 'shop', processes: 3 })
  t.match(pids('shop'), before)
  t.match(tree()['agent-shop.conf'], /x_own=1/)
})

await t.test('an edit by hand is told, and nobody writes over it unseen', async (t) => {
  const { change, tree, programs, stack, host, stateDir } = await programHost(t)
  const secret = 'not-for-everybody'
  const put = (command: string, ifRevision?: string) =>
    change(
      {
        action: 'put',
        definition: sleeper('web', { command, startSecs: 0, environment: { APP_KEY: secret } }),
        ifRevision,
      },
      { verifyMs: 0 },
    )
  await put('/bin/sleep 600')
  const edited = `${tree()['agent-web.conf']}; by hand\npriority=7\n`
  writeFileSync(join(host.programDir, 'agent-web.conf'), edited)
  await programs.upkeep.drift()
  await programs.upkeep.drift()
  const told = stack.events().filter(({ type }) => type === 'program.drift')
  t.match(told, [{ payload: { program: 'web', diff: /^\+priority=7$/m } }])
  t.equal(told.length, 1, 'it is told once')
  const own = join(host.programDir, 'agent-web.conf')
  const write = async (text: string) => {
    writeFileSync(own, text)
    await programs.upkeep.drift()
  }
  const calm = async () => {
    await until(() => Date.now() - statSync(own).ctimeMs > 2_500, 'times that tell each edit')
    for (let look = 0; look < 3; look++) await programs.upkeep.drift()
  }
  await calm()
  await write(edited.replace('priority=7', 'priority=8'))
  await write(edited)
  await write(edited.replace('[program:web]', '[progam:web]'))
  await calm()
  await write(edited.replace('priority=7', 'priority=9'))
  await write(edited)
  const again = stack.events().flatMap(({ type, payload }) => (type === 'program.drift' ? [payload] : []))
  const diffs = [8, 7, 9, 7].map((n) => ({ diff: new RegExp(`^\\+priority=${n}$`, 'm') }))
  t.match(again, [{}, ...diffs], 'also after a calm time, and of what was no program for a while')
  const { revision, drift } = await programs.service.get('web', ADMIN)
  t.equal(drift, true)
  await t.rejects(put('/bin/sleep 601'), { code: 'REVISION_CONFLICT', facts: { revision, drift: true } })
  await t.rejects(put('/bin/sleep 601', '0123456789abcdef'), { code: 'REVISION_CONFLICT' })
  await t.rejects(change({ action: 'scale', name: 'web', processes: 2 }), {
    code: 'REVISION_CONFLICT',
    message: new RegExp(`put it as it is to be, with ifRevision ${revision}`),
  })
  await t.rejects(change({ action: 'delete', name: 'web' }), { code: 'REVISION_CONFLICT' })
  t.equal(tree()['agent-web.conf'], edited)
  const { program } = await put('/bin/sleep 601', revision)
  t.match(program, { drift: false, definition: { command: '/bin/sleep 601' } })
  t.match(tree()['agent-web.conf'], /; by hand\n/, 'its comments stay')

  const history = await programs.service.history('web', ADMIN)
  t.match(
    history.map((one) => [one.revision, one.actor]),
    [
      [program?.revision, ADMIN.actor],
      [revision, undefined],
      [String, ADMIN.actor],
    ],
    'what was edited by hand can be restored',
  )
  const reader = { ...ADMIN, scopes: new Set(['read'] as const) }
  const shown = [
    await programs.service.get('web', reader),
    await programs.service.list(reader),
    await programs.service.history('web', reader),
  ]
  t.notMatch(JSON.stringify(shown), secret, 'values of variables are for those with the scope program')
  await change({ action: 'delete', name: 'web' })
  await change({ action: 'restore', name: 'web', revision }, { verifyMs: 0 })
  t.match(tree()['agent-web.conf'], /; by hand\npriority=7\n/)

  const kept = join(stateDir, 'programs', 'web.json')
  writeFileSync(kept, readFileSync(kept, 'utf8').slice(0, -1))
  const [seen] = await programs.service.list(ADMIN)
  t.match(seen, {
    name: 'web',
    running: 1,
    warnings: [/earlier revisions cannot be read: agent program history web/],
  })
  const words = `file of revisions of web ${kept}: it ends in the middle, at line 1; mend it, or move it away`
  for (const asked of [() => programs.service.history('web', ADMIN), () => put('/bin/sleep 602', revision)]) {
    const message = await asked().then(String, (error: Error) => error.message)
    t.ok(message.startsWith(words), message)
  }
})

await t.test('an edit by hand that supervisord has not read', async (t) => {
  const { change, prepare, tree, pids, programs, stack, host } = await programHost(t)
  const file = 'agent-web.conf'
  const definition = (seconds: number, more: object = {}) =>
    sleeper('web', { command: `/bin/sleep ${seconds}`, startSecs: 0, ...more })
  const edit = async (from: string, to: string) => {
    writeFileSync(join(host.programDir, file), tree()[file]?.replace(from, to) ?? '')
    return (await programs.service.get('web', ADMIN)).revision
  }
  const put = async (seconds: number, ifRevision?: string, more: object = {}) =>
    await change({ action: 'put', definition: definition(seconds, more), ifRevision }, { verifyMs: 0 })
  const commands = () =>
    Object.values(pids('web')).map((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[1])
  /** A fork is seen before it has become the command. */
  const run = (...wanted: string[]) =>
    until(() => isDeepStrictEqual(commands(), wanted), `${wanted.join(' ')} to run`)
  await put(600)

  await t.test('runs once it is put', async (t) => {
    const ifRevision = await edit('sleep 600', 'sleep 601')
    const planned = await prepare({ action: 'put', definition: definition(601), ifRevision })
    t.match(planned, { actions: [{ action: 'restart' }], warnings: [/was changed by others/] })
    await run('600')
    const { actions, program } = await put(601, ifRevision)
    t.strictSame(actions, [{ group: 'web', action: 'restart', processes: ['web:web_00'] }])
    t.match(program, { drift: false, running: 1 })
    await run('601')
  })
  await t.test('so do as many as it says', async (t) => {
    const ifRevision = await edit('numprocs=1', 'numprocs=2')
    const { actions } = await put(601, ifRevision, { processes: 2 })
    t.match(actions, [{ action: 'restart' }])
    await run('601', '601')
    t.strictSame(Object.keys(tree()), ['agent-listener.conf', file], 'in one group')
  })
  await t.test('one that it has read goes on', async (t) => {
    const ifRevision = await edit('sleep 601', 'sleep 602')
    await host.ctl('update', 'web')
    await run('602', '602')
    const before = pids('web')
    const { actions, program, warnings } = await put(602, ifRevision, { processes: 2 })
    t.match(actions, [{ action: 'none' }])
    t.strictSame(warnings, [])
    t.equal(program?.drift, false)
    t.strictSame(pids('web'), before)
  })
  await t.test('runs once it is accepted, and is a revision then', async (t) => {
    const revision = await edit('sleep 602', 'sleep 603')
    const { actions, program } = await change({ action: 'adopt', name: 'web' })
    t.match(actions, [{ action: 'restart' }])
    t.match(program, { drift: false, revision, running: 2 })
    await run('603', '603')
    const before = pids('web')
    t.match(await change({ action: 'adopt', name: 'web' }), { actions: [{ action: 'none' }] })
    await edit('command=', '; of the shop\ncommand=')
    t.match(await change({ action: 'adopt', name: 'web' }), {
      actions: [{ action: 'none' }],
      warnings: [],
      program: { drift: false },
    })
    t.strictSame(pids('web'), before)
    const history = await programs.service.history('web', ADMIN)
    t.match(history[1], { revision, method: 'program.adopt', actor: ADMIN.actor })
    t.match(tree()[file], /; of the shop/)
  })
  await t.test('what does not come up is as it was, and what ran before runs', async (t) => {
    const revision = await edit('sleep 603', 'false')
    const before = tree()
    await t.rejects(change({ action: 'adopt', name: 'web' }), { code: 'ROLLED_BACK' })
    t.strictSame(tree(), before)
    t.match(await programs.service.get('web', ADMIN), { drift: true, revision })
    for (const name of ['web:web_00', 'web:web_01']) await stack.waitState(name, 'RUNNING')
    await run('603', '603')
    t.match(await put(603, revision, { processes: 2 }), { program: { drift: false, running: 2 } })
  })
})
