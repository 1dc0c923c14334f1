import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseConfigText } from '../../../src/core/supervisor/config-file.ts'
import { discover } from '../../../src/core/supervisor/discovery.ts'
import { ListenerInstall, type ListenerInstallDeps } from '../../../src/core/supervisor/listener-install.ts'
import {
  freePriority,
  HEAD_COMMENT,
  renderListenerSection,
} from '../../../src/core/supervisor/listener-section.ts'
import { AgentError } from '../../../src/protocol/errors.ts'
import { rpcOf, type TestRpc } from '../../fixtures/rpc.ts'
import { Supervisord, supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'
import { agent, otherListener, SHIM, seenByOther } from './listener-harness.ts'

const PROGRAMS = {
  web: { command: 'sleep 600', startsecs: 0 },
  worker: { command: 'sleep 600', startsecs: 0 },
}

interface Bench {
  host: Supervisord
  rpc: TestRpc
  socketPath: string
  file: string
  installer: (more?: Partial<ListenerInstallDeps>) => ListenerInstall
}

function benchOf(host: Supervisord): Bench {
  const rpc = rpcOf(host.socket)
  const socketPath = join(host.folder, 'l.sock')
  return {
    host,
    rpc,
    socketPath,
    file: join(host.programDir, 'agent-listener.conf'),
    installer: (more = {}) =>
      new ListenerInstall({
        rpc,
        discover: () =>
          discover({ pid: host.pid, configFile: 'auto', programDir: 'auto', programExt: 'auto' }),
        shimSource: SHIM,
        shimPath: join(host.folder, 'lib/event-listener.py'),
        socketPath,
        ...more,
      }),
  }
}

async function bench(t: Test): Promise<Bench> {
  const made = benchOf(await supervisord(t, { programs: PROGRAMS }))
  await until(async () => (await pids(made.rpc)).every(({ pid }) => pid > 0), 'the programs')
  return made
}

async function pids(rpc: TestRpc): Promise<{ name: string; pid: number }[]> {
  const all = (await rpc.call('supervisor.getAllProcessInfo')) as {
    name: string
    group: string
    pid: number
  }[]
  return all.filter(({ group }) => group !== 'supervisor-agent').map(({ name, pid }) => ({ name, pid }))
}

/** All files below supervisord's configuration but ours, with their content. */
function foreignFiles(host: Supervisord): Record<string, string> {
  const files = [host.configFile, ...readdirSync(host.programDir).map((name) => join(host.programDir, name))]
  const foreign = files.filter((file) => !file.endsWith('/agent-listener.conf'))
  return Object.fromEntries(foreign.map((file) => [file, readFileSync(file, 'utf8') + statSync(file).ino]))
}

await t.test('install starts the listener and touches nothing else', async (t) => {
  const { host, rpc, socketPath, file, installer } = await bench(t)
  const before = { pids: await pids(rpc), files: foreignFiles(host) }
  const outcome = await installer().install()
  t.match(outcome, { file, changed: true, priority: -17, groupState: 'RUNNING' })
  t.same(outcome.foreign, { added: [], changed: [], removed: [] })
  t.same({ pids: await pids(rpc), files: foreignFiles(host) }, before)
  t.equal(statSync(file).mode & 0o777, 0o644)
  t.equal(statSync(join(host.folder, 'lib/event-listener.py')).mode & 0o777, 0o755)
  t.ok(readFileSync(file, 'utf8').startsWith(`${HEAD_COMMENT}\n[eventlistener:supervisor-agent]\n`))

  const watcher = await agent(t, socketPath)
  await rpc.call('supervisor.sendRemoteCommEvent', ['t', 'hello'])
  await until(() => watcher.bodies.length === 1, 'an event through the installed shim')
  t.match(await installer().status(), {
    installed: true,
    file,
    groupState: 'RUNNING',
    bufferSize: 2000,
    priority: -17,
    upToDate: true,
  })

  const pid = watcher.hellos[0]?.pid
  const stat = statSync(file)
  t.match(await installer().install(), { changed: false, groupState: 'RUNNING' })
  t.equal(statSync(file).ino, stat.ino, 'nothing was written the second time')
  t.equal(watcher.server.status().shimPid, pid, 'and nothing restarted')

  t.match(await installer({ bufferSize: 3000 }).status(), { installed: true, upToDate: false })
  t.match(await installer({ bufferSize: 3000 }).install(), { changed: true, groupState: 'RUNNING' })
  await until(() => watcher.hellos.length === 2, 'the new listener')
  t.match(await installer({ bufferSize: 3000 }).status(), { bufferSize: 3000, upToDate: true })
  t.same({ pids: await pids(rpc), files: foreignFiles(host) }, before)

  writeFileSync(join(host.folder, 'lib/event-listener.py'), '# of an older version\n')
  t.match(await installer({ bufferSize: 3000 }).status(), { upToDate: false })
  t.match(await installer({ bufferSize: 3000 }).install(), { changed: true, groupState: 'RUNNING' })
  await until(() => watcher.hellos.length === 3, 'the new shim')
  t.same(watcher.gaps, [])

  t.match(await installer().remove(), { file, changed: true, problem: null })
  t.notOk(existsSync(file))
  t.match(await installer().status(), { installed: false, file: null, groupState: null, upToDate: false })
  t.same({ pids: await pids(rpc), files: foreignFiles(host) }, before)
  t.match(await installer().remove(), { file: null, changed: false })
})

await t.test('pending changes of others stay pending', async (t) => {
  const { host, rpc, installer } = await bench(t)
  host.writeProgram('fresh', { command: 'sleep 600' })
  host.writeProgram('web', { command: 'sleep 601', startsecs: 0 })
  rmSync(join(host.programDir, 'worker.conf'))
  const before = await pids(rpc)
  const { foreign } = await installer().install()
  t.same(foreign, { added: ['fresh'], changed: ['web'], removed: ['worker'] })
  t.same(await pids(rpc), before)
  t.same((await installer().remove()).foreign, foreign)
  t.same(await pids(rpc), before)
})

await t.test('a broken file of somebody else: refused, and nothing written', async (t) => {
  const { host, rpc, file, installer } = await bench(t)
  writeFileSync(join(host.programDir, 'broken.conf'), '[program:broken]\nuser=nobody-of-that-name\n')
  const before = { pids: await pids(rpc), files: foreignFiles(host), folder: readdirSync(host.folder) }
  await t.rejects(installer().install(), {
    code: 'SUPERVISOR_FAULT',
    message: /nothing was written.*Invalid user name nobody-of-that-name in section 'program:broken'/,
    facts: { fault: 'CANT_REREAD' },
  })
  t.notOk(existsSync(file))
  t.same({ pids: await pids(rpc), files: foreignFiles(host), folder: readdirSync(host.folder) }, before)

  // Where supervisord's environment is not readable, only its own reread can judge.
  const blind = installer({
    discover: async () => {
      const found = await discover({
        pid: host.pid,
        configFile: 'auto',
        programDir: 'auto',
        programExt: 'auto',
      })
      return { ...found, supervisord: found.supervisord && { ...found.supervisord, environment: null } }
    },
  })
  await t.rejects(blind.install(), { code: 'SUPERVISOR_FAULT', facts: { fault: 'CANT_REREAD' } })
  t.notOk(existsSync(file), 'taken back after the reread failed')
  t.same({ pids: await pids(rpc), files: foreignFiles(host) }, { pids: before.pids, files: before.files })
})

await t.test('a reread that fails puts the old section back', async (t) => {
  const { rpc, file, installer } = await bench(t)
  await installer().install()
  const old = readFileSync(file, 'utf8')
  let refusals = 1
  const failing = installer({
    bufferSize: 50,
    rpc: {
      call: async (method, params) => {
        if (method === 'supervisor.reloadConfig' && refusals-- > 0)
          throw new AgentError('SUPERVISOR_FAULT', 'CANT_REREAD', { facts: { fault: 'CANT_REREAD' } })
        return rpc.call(method, params)
      },
    },
  })
  await t.rejects(failing.install(), { code: 'SUPERVISOR_FAULT' })
  t.equal(readFileSync(file, 'utf8'), old)
  t.match(await installer().status(), { groupState: 'RUNNING', bufferSize: 2000, upToDate: true })
})

await t.test('files of that name or section that are not ours are left alone', async (t) => {
  const { file, host, installer } = await bench(t)
  writeFileSync(file, '; mine\n')
  await t.rejects(installer().install(), { code: 'SUPERVISOR_FAULT', facts: { fault: 'FOREIGN_FILE', file } })
  t.equal(readFileSync(file, 'utf8'), '; mine\n')
  const own = join(host.programDir, 'own.conf')
  renameSync(file, own)
  writeFileSync(own, '[eventlistener:supervisor-agent]\ncommand=sleep 600\nevents=TICK_3600\n')
  await t.rejects(installer().install(), {
    code: 'SUPERVISOR_FAULT',
    facts: { fault: 'FOREIGN_FILE', file: own },
  })
  t.match(await installer().remove(), { file: null, changed: false })
  t.ok(existsSync(own))
})

await t.test('no folder for the file: says what to add', async (t) => {
  const host = new Supervisord({})
  t.teardown(() => host.stop())
  writeFileSync(
    host.configFile,
    readFileSync(host.configFile, 'utf8').replace('[include]\nfiles=conf.d/*.conf', ''),
  )
  await host.start()
  await t.rejects(benchOf(host).installer().install(), {
    code: 'SUPERVISOR_FAULT',
    message: /add to it "\[include\]" and "files = /,
  })
})

await t.test('remove works with parts missing', async (t) => {
  const { host, rpc, file, installer } = await bench(t)
  await installer().install()
  await rpc.call('supervisor.stopProcessGroup', ['supervisor-agent'])
  await rpc.call('supervisor.removeProcessGroup', ['supervisor-agent'])
  t.match(await installer().remove(), { file, changed: true })

  await installer().install()
  rmSync(file)
  t.match(await installer().remove(), { file: null, changed: true })
  t.equal((await installer().status()).groupState, null)

  await installer().install()
  writeFileSync(join(host.programDir, 'broken.conf'), 'nonsense')
  t.match(await installer().remove(), { file, changed: true, problem: /CANT_REREAD|no section headers/ })
  t.notOk(existsSync(file))
  rmSync(join(host.programDir, 'broken.conf'))

  await installer().install()
  const found = await discover({ pid: host.pid, configFile: 'auto', programDir: 'auto', programExt: 'auto' })
  await host.kill('SIGKILL')
  t.match(await installer({ discover: async () => found }).remove(), { file, changed: true, problem: /.+/ })
  t.notOk(existsSync(file), 'also when supervisord is down')
})

await t.test('its priority is its own: a shim that dies gives no event twice to others', async (t) => {
  const host = new Supervisord({})
  t.teardown(() => host.stop())
  host.writeProgram('eventlistener:other', { ...otherListener(host.folder), priority: -17 })
  host.writeProgram('eventlistener:third', { ...otherListener(host.folder), priority: -18, autostart: false })
  await host.start()
  const { rpc, socketPath, installer } = benchOf(host)
  t.equal((await installer().install()).priority, -19)
  const hold: { release: () => void } = { release: () => {} }
  const watcher = await agent(t, socketPath, {
    onEvent: ({ body }) =>
      body.kind === 'remote' ? new Promise((resolve) => (hold.release = resolve)) : undefined,
  })
  await until(() => watcher.events.length > 0, 'the first events')
  await rpc.call('supervisor.sendRemoteCommEvent', ['t', 'slow'])
  await until(() => watcher.bodies.length === 1, 'the slow event')
  process.kill(watcher.server.status().shimPid ?? 0, 'SIGKILL')
  await until(() => watcher.hellos.length === 2, 'the next shim')
  hold.release()
  await rpc.call('supervisor.sendRemoteCommEvent', ['t', 'end'])
  await until(() => watcher.bodies.length === 2, 'the end')
  hold.release()
  await until(
    () => seenByOther(host.folder).filter((line) => line.endsWith('REMOTE_COMMUNICATION')).length >= 2,
    'the end there',
  )
  const seen = seenByOther(host.folder)
  t.same(seen, [...new Set(seen)])
})

await t.test('the section carries odd paths safely', async (t) => {
  const section = {
    python: '/usr/bin/python3',
    shimPath: '/a/100%/x.py',
    socketPath: '/run/l.sock',
    bufferSize: 10,
    priority: -17,
  }
  const command = parseConfigText(renderListenerSection(section), 'x').sections[0]?.keys.get('command')
  t.equal(command, '/usr/bin/python3 /a/100%%/x.py /run/l.sock')
  for (const path of [
    '/a b',
    'relative',
    '/a"b',
    "/a'b",
    '/a\\b',
    '/a;b',
    '/a#b',
    '/a\nb',
    '/%(here)s',
    '/ünï',
    '/a\u00a0b',
    '',
  ])
    t.throws(
      () => renderListenerSection({ ...section, socketPath: path }),
      { code: 'SUPERVISOR_FAULT' },
      JSON.stringify(path),
    )
})

await t.test('a free priority', async (t) => {
  const of = (text: string): number => freePriority(parseConfigText(text, 'x').sections)
  t.equal(of(''), -17)
  t.equal(of('[eventlistener:a]\npriority=-17\n[eventlistener:b]\npriority=-19\n'), -18)
  t.equal(of('[eventlistener:supervisor-agent]\npriority=-30\n'), -30, 'the one it has')
  t.equal(of('[eventlistener:a]\npriority=-30\n[eventlistener:supervisor-agent]\npriority=-30\n'), -17)
  t.equal(of('[program:a]\npriority=-17\n'), -17, 'programs do not count')
})
