// Where the files of supervisord lie on the hosts of this world: each layout with a real supervisord and a foreign
// program, and a program put, looked at and deleted through it.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { print } from '../../../src/cli/print.ts'
import { noNamespace } from '../../fixtures/namespace.ts'
import { supervisorCommand } from '../../fixtures/supervisor-command.ts'
import { until } from '../../fixtures/wait.ts'
import { programsAt } from './host.ts'

interface Layout {
  it: string
  /** The main file, relative to the root of the host. */
  main: string
  /** How supervisord is told of it; `ROOT` is the root of the host. Absent: `-c` and the whole path. */
  args?: string[]
  /** Its working directory, relative to the root. */
  cwd?: string
  env?: Record<string, string>
  include: string
  /** Where a program of somebody else lies. */
  foreign: string
  /** Folders that are there as well. */
  folders?: string[]
  /** What discovery is to find, relative to the root. */
  includes: string[]
  programDir: string
  programExt: string
}

const layouts: Layout[] = [
  {
    it: 'Debian and Ubuntu',
    main: 'etc/supervisor/supervisord.conf',
    include: 'ROOT/etc/supervisor/conf.d/*.conf',
    foreign: 'etc/supervisor/conf.d/shop.conf',
    includes: ['etc/supervisor/conf.d/*.conf'],
    programDir: 'etc/supervisor/conf.d',
    programExt: 'conf',
  },
  {
    it: 'RHEL and Fedora: relative, .ini',
    main: 'etc/supervisord.conf',
    include: 'supervisord.d/*.ini',
    foreign: 'etc/supervisord.d/shop.ini',
    includes: ['etc/supervisord.d/*.ini'],
    programDir: 'etc/supervisord.d',
    programExt: 'ini',
  },
  {
    it: 'aaPanel: the profiles of its plugin',
    main: 'etc/supervisor/supervisord.conf',
    include: 'ROOT/www/server/panel/plugin/supervisor/profile/*.ini',
    foreign: 'www/server/panel/plugin/supervisor/profile/shop.ini',
    includes: ['www/server/panel/plugin/supervisor/profile/*.ini'],
    programDir: 'www/server/panel/plugin/supervisor/profile',
    programExt: 'ini',
  },
  {
    it: 'cPanel: a folder of the server, then those of the accounts',
    main: 'etc/supervisord.conf',
    include: 'ROOT/etc/supervisord.d/*.conf ROOT/home/*/supervisor/*.conf',
    foreign: 'home/acct/supervisor/shop.conf',
    folders: ['etc/supervisord.d'],
    includes: ['etc/supervisord.d/*.conf', 'home/*/supervisor/*.conf'],
    programDir: 'etc/supervisord.d',
    programExt: 'conf',
  },
  {
    it: 'Plesk: a domain each, and the folder of the package',
    main: 'etc/supervisor/supervisord.conf',
    include: 'ROOT/var/www/vhosts/*/supervisor/*.conf\n ROOT/etc/supervisor/conf.d/*.conf',
    foreign: 'var/www/vhosts/example.com/supervisor/shop.conf',
    folders: ['etc/supervisor/conf.d'],
    includes: ['var/www/vhosts/*/supervisor/*.conf', 'etc/supervisor/conf.d/*.conf'],
    programDir: 'etc/supervisor/conf.d',
    programExt: 'conf',
  },
  {
    it: 'Alpine, the main file named relative to the folder of supervisord',
    main: 'etc/supervisord.conf',
    args: ['-c', 'supervisord.conf'],
    cwd: 'etc',
    include: '%(here)s/supervisor.d/*.ini',
    foreign: 'etc/supervisor.d/shop.ini',
    includes: ['etc/supervisor.d/*.ini'],
    programDir: 'etc/supervisor.d',
    programExt: 'ini',
  },
  {
    it: 'a tree of its own, up from the main file, with a name of the environment',
    main: 'srv/app/config/supervisord.conf',
    args: ['--configuration=ROOT/srv/app/config/supervisord.conf'],
    env: { STAGE: 'live' },
    include: 'missing/*.ini ../%(ENV_STAGE)s/[a-z]*.conf',
    foreign: 'srv/app/live/shop.conf',
    includes: ['srv/app/config/missing/*.ini', 'srv/app/config/../live/[a-z]*.conf'],
    programDir: 'srv/app/config/../live',
    programExt: 'conf',
  },
]

const SHOP = '; by hand\n[program:shop]\ncommand=/bin/sleep 300\nstdout_logfile=NONE\nredirect_stderr=true\n'

class Host {
  readonly root = mkdtempSync(join(tmpdir(), 'sl-'))
  readonly folder = this.root
  readonly logDir = join(this.root, 'log')
  readonly url = `unix://${this.root}/s.sock`
  readonly programDir: string
  readonly main: string
  readonly #layout: Pick<Layout, 'args' | 'cwd' | 'env'>

  constructor(
    t: Test,
    layout: Pick<Layout, 'main' | 'args' | 'cwd' | 'env'> & {
      include: string | null
      programDir: string
    },
  ) {
    t.teardown(() => rmSync(this.root, { recursive: true, force: true, maxRetries: 5 }))
    this.#layout = layout
    this.main = join(this.root, layout.main)
    this.programDir = join(this.root, layout.programDir)
    mkdirSync(this.logDir)
    const { include } = layout
    const files = include === null ? '' : `[include]\nfiles = ${include.replaceAll('ROOT', this.root)}\n`
    this.write(
      layout.main,
      `[unix_http_server]\nfile=${this.root}/s.sock\n[supervisord]\nnodaemon=true\npidfile=${this.root}/s.pid\n` +
        `logfile=${this.root}/s.log\nchildlogdir=${this.logDir}\n[rpcinterface:supervisor]\n` +
        `supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n${files}`,
    )
  }

  write(name: string, text: string): void {
    const path = join(this.root, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }

  async start(t: Test): Promise<void> {
    const { python, supervisord, env } = supervisorCommand()
    const { args = ['-c', this.main], cwd = '', env: more } = this.#layout
    const child = spawn(python, [supervisord, ...args.map((word) => word.replace('ROOT', this.root))], {
      cwd: join(this.root, cwd),
      env: { PATH: '/usr/bin:/bin', ...env, ...more },
      stdio: 'ignore',
    })
    t.teardown(async () => {
      const gone = once(child, 'exit')
      const started = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
      child.kill('SIGKILL')
      for (const pid of started.trim().split(' ').filter(Boolean)) kill(Number(pid))
      await gone
    })
    await until(() => existsSync(join(this.root, 's.sock')), 'supervisord to listen')
  }

  /** All files below the root that are part of its configuration. */
  files(): Record<string, string> {
    return Object.fromEntries(
      readdirSync(this.root, { recursive: true, encoding: 'utf8' })
        .filter((name) => /\.(?:conf|ini)$/.test(name))
        .toSorted()
        .map((name) => [name, readFileSync(join(this.root, name), 'utf8')]),
    )
  }
}

async function programsOf(t: Test, host: Host): ReturnType<typeof programsAt> {
  const stateDir = join(host.root, 'state')
  return await programsAt(t, host, { stateDir, listener: false })
}

const web = { name: 'web', command: '/bin/sleep 300', startSecs: 0 }

await t.test('a program through the layout of', async (t) => {
  t.jobs = 4
  await Promise.all(
    layouts.map((layout) =>
      t.test(layout.it, async (t) => {
        const host = new Host(t, layout)
        for (const folder of layout.folders ?? []) mkdirSync(join(host.root, folder), { recursive: true })
        host.write(layout.foreign, SHOP)
        await host.start(t)
        const { prepare, change, stack, pids } = await programsOf(t, host)
        await stack.waitState('shop', 'RUNNING')
        const shop = pids('shop')
        const before = host.files()

        const whole = (path: string) => `${host.root}/${path}`
        const { programExt: extension } = layout
        const programDir = whole(layout.programDir)
        const found = await stack.stack.service.info()
        t.same(found.problems, [])
        t.match(found, {
          includes: layout.includes.map(whole),
          programDir,
          programExt: extension,
        })
        t.equal(found.configFile, host.main)

        const file = `${programDir}/agent-web.${extension}`
        const planned = await prepare({ action: 'put', definition: web })
        t.match(planned.diff, `+++ ${file}\n`)
        t.same([planned.issues, planned.broken], [[], []])
        t.same(host.files(), before, 'a plan writes nothing')

        const put = await change({ action: 'put', definition: web }, { verifyMs: 0 })
        t.match(put.program, { file, running: 1 })
        t.match(readFileSync(file, 'utf8'), 'command=/bin/sleep 300\n')
        t.ok(readFileSync(join(host.root, 's.log'), 'utf8').includes("spawned: 'web_00'"))
        await change({ action: 'delete', name: 'web' })
        t.same(host.files(), before, 'and every file is as it was')
        t.same(pids('web'), {})
        t.same(pids('shop'), shop, 'the program of somebody else ran on')
      }),
    ),
  )
})

await t.test(
  'a host without a place for program files says which line to add, and that line is enough',
  async (t) => {
    const rows: { it: string; include: string | null; says: RegExp; cure: (host: Host) => void }[] = [
      {
        it: 'no [include] at all',
        include: null,
        says: /etc\/supervisord\.conf includes no files.*add to it "\[include\]" and "files = \S+\/etc\/conf\.d\/\*\.conf", make the folder/,
        cure: ({ root, main }) => {
          mkdirSync(join(root, 'etc/conf.d'))
          writeFileSync(main, `[include]\nfiles = ${root}/etc/conf.d/*.conf\n`, { flag: 'a' })
        },
      },
      {
        it: 'its folder missing',
        include: 'conf.d/*.conf',
        says: /"files = \S+\/etc\/conf\.d\/\*\.conf" in \S+ is missing: mkdir -p \S+\/etc\/conf\.d$/,
        cure: ({ root }) => mkdirSync(join(root, 'etc/conf.d')),
      },
      {
        it: 'one file by its name',
        include: 'all.conf',
        says: /none of the globs in \[include\] of \S+ takes a file agent-NAME\.conf: add \S+\/etc\/conf\.d\/\*\.conf to its "files"/,
        cure: ({ root, main }) => {
          mkdirSync(join(root, 'etc/conf.d'))
          const text = readFileSync(main, 'utf8')
          writeFileSync(main, text.replace('files = all.conf', `files = all.conf ${root}/etc/conf.d/*.conf`))
        },
      },
    ]
    t.jobs = 4
    await Promise.all(
      rows.map(({ it, include, says, cure }) =>
        t.test(it, async (t) => {
          const host = new Host(t, { main: 'etc/supervisord.conf', include, programDir: 'etc/conf.d' })
          host.write('etc/all.conf', '')
          await host.start(t)
          const { prepare, change, stack } = await programsOf(t, host)
          const before = host.files()
          const info = await stack.stack.service.info()
          t.match(info, { programDir: null, problems: [says] })
          t.match(await print('supervisor.info', info), new RegExp(`problem +.*${says.source}`, 'm'))
          const refused = { code: 'SUPERVISOR_FAULT', message: says, facts: { fault: 'NO_PROGRAM_DIR' } }
          await t.rejects(prepare({ action: 'put', definition: web }), refused)
          await t.rejects(change({ action: 'put', definition: web }), refused)
          t.same(host.files(), before)
          cure(host)
          t.match(await stack.stack.service.info(), { programDir: `${host.root}/etc/conf.d`, problems: [] })
          const { program } = await change({ action: 'put', definition: web }, { verifyMs: 0 })
          t.match(program, { running: 1, file: `${host.root}/etc/conf.d/agent-web.conf` })
          await change({ action: 'delete', name: 'web' })
        }),
      ),
    )
  },
)

await t.test('a folder that cannot be written', { skip: noNamespace() }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sl-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const discovery = join(import.meta.dirname, '../../../src/core/supervisor/discovery.ts')
  const refusals = join(import.meta.dirname, '../../../src/core/programs/refusals.ts')
  writeFileSync(join(folder, 's.conf'), '[supervisord]\n[include]\nfiles=*.conf\n')
  const script = `const { discover } = await import('${discovery}')
    const { newFile } = await import('${refusals}')
    const found = await discover({ pid: null, configFile: '${folder}/s.conf', programDir: 'auto', programExt: 'auto' })
    const refused = await newFile('web', found).catch(({ code, message }) => ({ code, message }))
    console.log(JSON.stringify({ problems: found.problems, refused }))`
  const mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
  const node = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', script]
  const { stdout } = await promisify(execFile)('unshare', ['-rm', 'sh', '-c', mount, folder, ...node])
  const says = `${folder} is not writable for the agent (EROFS): add the line "ReadWritePaths=${folder}" to the [Service] of its systemd unit, or mount the disk for writing`
  t.same(JSON.parse(stdout), {
    problems: [says],
    refused: { code: 'SUPERVISOR_FAULT', message: `there is no folder for program files: ${says}` },
  })
})

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it has ended
  }
}
