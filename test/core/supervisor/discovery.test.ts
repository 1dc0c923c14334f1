import { type ChildProcess, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { type DiscoverOptions, type Discovery, discover } from '../../../src/core/supervisor/discovery.ts'
import { parseSupervisordArgv, searchPaths } from '../../../src/core/supervisor/discovery-process.ts'
import { globFiles, matchesName } from '../../../src/core/supervisor/glob-files.ts'
import { supervisorCommand } from '../../fixtures/supervisor-command.ts'
import { until } from '../../fixtures/wait.ts'

const AUTO = { configFile: 'auto', programDir: 'auto', programExt: 'auto' } as const

/** A folder with files; a name that ends in `/` is a folder. */
function tree(t: Test, files: Record<string, string>): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sd-')))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name)
    mkdirSync(name.endsWith('/') ? path : dirname(path), { recursive: true })
    if (!name.endsWith('/')) writeFileSync(path, text)
  }
  return folder
}

interface Run {
  args: string[]
  cwd: string
  env?: Record<string, string>
}

/** Starts a real supervisord and returns its pid when it has read its configuration. */
async function run(t: Test, { args, cwd, env = {} }: Run, pidFile: string): Promise<number> {
  const { python, supervisord, env: needed } = supervisorCommand()
  const child: ChildProcess = spawn(python, [supervisord, ...args], {
    cwd,
    env: { PATH: '/usr/bin:/bin', ...needed, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr?.on('data', (chunk) => (stderr += chunk))
  const pid = await until(
    () => {
      if (child.exitCode) throw new Error(`supervisord ended with ${child.exitCode}: ${stderr}`)
      return existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : 0
    },
    `supervisord ${args.join(' ')}: ${stderr}`,
  )
  t.teardown(() => process.kill(pid, 'SIGKILL'))
  return pid
}

const MAIN =
  '[supervisord]\nnodaemon=true\npidfile=%(here)s/s.pid\nlogfile=%(here)s/main.log\nchildlogdir=%(here)s\n'

async function discovered(
  t: Test,
  files: Record<string, string>,
  more: Partial<DiscoverOptions> = {},
): Promise<[Discovery, string]> {
  const folder = tree(t, files)
  return [
    await discover({ pid: null, ...AUTO, configFile: join(folder, 'supervisord.conf'), ...more }),
    folder,
  ]
}

await t.test('the main file of a running supervisord, however it was named', async (t) => {
  const spellings = [
    ['-c', 'FILE'],
    ['-cFILE'],
    ['--configuration', 'FILE'],
    ['--configuration=FILE'],
    ['--config', 'FILE'],
    ['--conf=FILE'],
    ['-c', 'my.conf'],
    ['-cmy.conf'],
    ['--conf', '../etc/my.conf'],
    ['-nc', 'FILE'],
    ['-ncmy.conf'],
    ['-l', 'cli.log', '-c', 'FILE'],
    ['--loglevel', 'debug', '--co=FILE', '-n'],
  ]
  for (const spelling of spellings)
    await t.test(spelling.join(' '), async (t) => {
      const folder = tree(t, { 'etc/my.conf': `${MAIN}[include]\nfiles=conf.d/*.conf\n`, 'etc/conf.d/': '' })
      const file = join(folder, 'etc/my.conf')
      const args = spelling.map((word) => word.replace('FILE', file))
      const pid = await run(t, { args, cwd: join(folder, 'etc') }, join(folder, 'etc/s.pid'))
      const found = await discover({ pid, ...AUTO })
      t.equal(realpathSync(found.mainFile ?? ''), file)
      t.same(found.problems, [])
      t.equal(realpathSync(found.programDir ?? ''), join(folder, 'etc/conf.d'))
      t.equal(
        realpathSync(found.mainLog ?? ''),
        join(folder, spelling.includes('cli.log') ? 'etc/cli.log' : 'etc/main.log'),
      )
      t.match(found.supervisord, {
        pid,
        cwd: join(folder, 'etc'),
        exe: '/usr/bin/python3',
        uid: process.getuid?.(),
      })
    })
})

await t.test('without -c: where supervisord itself looks', async (t) => {
  const folder = tree(t, { 'etc/supervisord.conf': MAIN })
  const pid = await run(t, { args: ['-n'], cwd: folder }, join(folder, 'etc/s.pid'))
  const found = await discover({ pid, ...AUTO })
  t.equal(found.mainFile, join(folder, 'etc/supervisord.conf'))
  t.match(found.problems, [/includes no files.*"\[include\]" and "files = .*\/etc\/conf\.d\/\*\.conf"/])
})

await t.test('a daemon that left its folder is found by PWD, and told', async (t) => {
  const main = MAIN.replace('nodaemon=true', 'nodaemon=false\ndirectory=/').replace(
    '%(here)s/main.log',
    'main.log',
  )
  const folder = tree(t, { 'my.conf': main })
  const pid = await run(
    t,
    { args: ['-c', 'my.conf'], cwd: folder, env: { PWD: folder } },
    join(folder, 's.pid'),
  )
  await until(async () => (await discover({ pid, ...AUTO })).supervisord?.cwd === '/', 'its change of folder')
  const found = await discover({ pid, ...AUTO })
  t.equal(found.mainFile, join(folder, 'my.conf'))
  t.equal(found.mainLog, join(folder, 'main.log'))
  t.match(found.problems[0], `start it with -c ${folder}/my.conf`)
})

await t.test('names of the environment in [include]', async (t) => {
  const folder = tree(t, {
    's.conf': `${MAIN}[include]\nfiles = %(ENV_PLACE)s/*.conf %(here)s/%(host_node_name)s/*.conf`,
    'place/': '',
    [`${hostname()}/a.conf`]: '[program:a]\ncommand=cat\n',
  })
  const pid = await run(
    t,
    { args: ['-c', join(folder, 's.conf')], cwd: '/', env: { PLACE: `${folder}/place` } },
    join(folder, 's.pid'),
  )
  const found = await discover({ pid, ...AUTO })
  t.same(found.includes, [`${folder}/place/*.conf`, `${folder}/${hostname()}/*.conf`])
  t.same(found.files, [`${folder}/s.conf`, `${folder}/${hostname()}/a.conf`])
  t.equal(found.programDir, `${folder}/place`)
  t.same(found.problems, [])
})

await t.test('several globs: files in the order of supervisord', async (t) => {
  const [found, folder] = await discovered(t, {
    'supervisord.conf':
      '[supervisord]\n[include]\nfiles = conf.d/*.conf\n  more/[0-9]?-*.ini other/*/x.conf ; not this\n',
    'conf.d/b.conf': '[program:b]\ncommand=b %(here)s\n',
    'conf.d/a.conf': '[program:a]\ncommand=a\n',
    'conf.d/.hidden.conf': '[program:hidden]\n',
    'conf.d/sub.conf/': '',
    'more/10-z.ini': '[program:a]\ncommand=other\n',
    'more/x0-z.ini': '[program:no]\n',
    'other/2/x.conf': '[program:two]\n',
    'other/1/x.conf': '[program:one]\n',
  })
  symlinkSync('/nowhere', join(folder, 'conf.d/dangling.conf'))
  const names = [
    'supervisord.conf',
    'conf.d/a.conf',
    'conf.d/b.conf',
    'more/10-z.ini',
    'other/1/x.conf',
    'other/2/x.conf',
  ]
  t.same(
    found.files,
    names.map((name) => join(folder, name)),
  )
  t.equal(found.programDir, join(folder, 'conf.d'))
  t.equal(found.programExt, 'conf')
  const section = (header: string) => found.sections.find((one) => one.header === header)
  t.equal(section('program:b')?.keys.get('command'), `b ${folder}/conf.d`)
  t.equal(section('program:a')?.keys.get('command'), 'other', 'the later file wins')
  t.equal(section('program:a')?.file, join(folder, 'conf.d/a.conf'))
})

const layouts: {
  it: string
  files: Record<string, string>
  dir: string | null
  ext: string
  problem?: RegExp
  more?: Partial<DiscoverOptions>
}[] = [
  {
    it: 'RHEL',
    files: { 'supervisord.conf': '[include]\nfiles = supervisord.d/*.ini\n', 'supervisord.d/': '' },
    dir: 'supervisord.d',
    ext: 'ini',
  },
  {
    it: 'no [include]',
    files: { 'supervisord.conf': '[supervisord]\n' },
    dir: null,
    ext: 'conf',
    problem: /add to it "\[include\]"/,
  },
  {
    it: 'a missing folder',
    files: { 'supervisord.conf': '[include]\nfiles = conf.d/*.ini\n' },
    dir: null,
    ext: 'ini',
    problem: /mkdir -p .*conf\.d$/,
  },
  {
    it: 'a second glob whose folder is there',
    files: { 'supervisord.conf': '[include]\nfiles = gone/*.ini there/*.conf\n', 'there/': '' },
    dir: 'there',
    ext: 'conf',
  },
  {
    it: 'any extension',
    files: { 'supervisord.conf': '[include]\nfiles = all/*\n', 'all/': '' },
    dir: 'all',
    ext: 'conf',
  },
  {
    it: 'a glob that takes no file of ours',
    files: { 'supervisord.conf': '[include]\nfiles = d/web-*.conf *.d/*.conf\n', 'd/': '' },
    dir: null,
    ext: 'conf',
    problem: /none of the globs/,
  },
  {
    it: 'a folder that is a file',
    files: { 'supervisord.conf': '[include]\nfiles = d/*.conf\n', d: '' },
    dir: null,
    ext: 'conf',
    problem: /missing/,
  },
  {
    it: 'a broken file',
    files: { 'supervisord.conf': '[include]\nfiles = d/*.conf\n', 'd/x.conf': 'nonsense\n' },
    dir: 'd',
    ext: 'conf',
    problem: /d\/x\.conf:1: a line before the first \[section\]/,
  },
  {
    it: 'a plain name among the globs',
    files: { 'supervisord.conf': '[include]\nfiles = d/*.conf extra.conf\n', 'd/': '' },
    dir: 'd',
    ext: 'conf',
  },
]

await t.test('layouts', async (t) => {
  for (const { it, files, dir, ext, problem } of layouts)
    await t.test(it, async (t) => {
      const [found, folder] = await discovered(t, files)
      t.equal(found.programDir, dir && join(folder, dir))
      t.equal(found.programExt, ext)
      if (problem) t.match(found.problems.join('\n'), problem)
      else t.same(found.problems, [])
    })
})

await t.test('a configured folder is used, and told when supervisord does not read it', async (t) => {
  const files = { 'supervisord.conf': '[include]\nfiles = a/*.conf b/*.ini\n', 'a/': '', 'b/': '', 'c/': '' }
  const folder = tree(t, files)
  const options = { pid: null, ...AUTO, configFile: join(folder, 'supervisord.conf') }
  t.match(await discover({ ...options, programDir: `${folder}/b/` }), {
    programDir: `${folder}/b`,
    programExt: 'ini',
    problems: [],
  })
  const other = await discover({ ...options, programDir: `${folder}/c` })
  t.match(other, { programDir: `${folder}/c`, programExt: 'conf' })
  t.match(other.problems, [
    `add to ${folder}/supervisord.conf under [include] the line "files = ${folder}/c/*.conf"`,
  ])
  t.match((await discover({ ...options, programDir: `${folder}/b`, programExt: 'conf' })).problems, [
    /does not read/,
  ])
})

await t.test('what is missing is a problem, never a failure', async (t) => {
  t.match(await discover({ pid: null, ...AUTO }), {
    mainFile: null,
    files: [],
    sections: [],
    mainLog: null,
    problems: [/set supervisor\.configFile/],
  })
  t.match(await discover({ pid: 2 ** 22 + 1, ...AUTO }), { mainFile: null, supervisord: null })
  t.match(await discover({ pid: null, ...AUTO, configFile: '/nowhere/x.conf' }), {
    mainFile: null,
    problems: [/\/nowhere\/x\.conf cannot be read \(ENOENT\)/],
  })
  const [latin, folder] = await discovered(t, { 'supervisord.conf': '[include]\nfiles = *.ini\n' })
  t.same(latin.problems, [])
  writeFileSync(join(folder, 'x.ini'), Buffer.from('[program:x]\ncommand=caf\xe9\n', 'latin1'))
  const again = await discover({ pid: null, ...AUTO, configFile: join(folder, 'supervisord.conf') })
  t.match(again.problems, [/x\.ini:1: it is not UTF-8/])
})

await t.test('the main log', async (t) => {
  const rows: [string, string | null][] = [
    ['logfile=/var/log/s.log', '/var/log/s.log'],
    ['logfile=%(here)s/s.log', 'HERE/s.log'],
    ['logfile=syslog', null],
    ['logfile=/dev/null', null],
    ['logfile=/dev/stdout', null],
    ['logfile=%(ENV_NOPE)s/s.log', null],
  ]
  for (const [line, expected] of rows) {
    const [found, folder] = await discovered(t, { 'supervisord.conf': `[supervisord]\n${line}\n` })
    t.equal(found.mainLog, expected && expected.replace('HERE', folder), line)
  }
})

await t.test('command lines', async (t) => {
  const rows: [string[], string | null, string | null][] = [
    [['/usr/bin/python3', '/usr/bin/supervisord', '-c', 'x'], 'x', '/usr/bin/supervisord'],
    [
      ['/usr/bin/python3', '-sP', '-W', 'ignore', '/usr/bin/supervisord', '-nc', 'x'],
      'x',
      '/usr/bin/supervisord',
    ],
    [['/opt/py/bin/python3.12', '-m', 'supervisor.supervisord', '--conf', 'x'], 'x', null],
    [['/usr/local/bin/supervisord', '-n'], null, '/usr/local/bin/supervisord'],
    [['supervisord', '--log', 'l', '-c', 'x'], null, 'supervisord'],
    [['supervisord', '-u', '-c', '-c', 'x'], 'x', 'supervisord'],
    [['supervisord', '-n', '--', '-c', 'x'], null, 'supervisord'],
    [['supervisord', '-n', 'word', '-c', 'x'], null, 'supervisord'],
    [['supervisord', '-c'], null, 'supervisord'],
  ]
  for (const [argv, configFile, script] of rows)
    t.match(parseSupervisordArgv(argv), { configFile, script }, argv.join(' '))
  t.same(searchPaths('/usr/bin/supervisord').slice(0, 3), [
    '/usr/etc/supervisord.conf',
    '/usr/supervisord.conf',
    'supervisord.conf',
  ])
})

await t.test('globs match as those of Python', async (t) => {
  const rows: [string, string, boolean][] = [
    ['*.conf', 'a.conf', true],
    ['*.conf', 'a.conf.bak', false],
    ['*', '', true],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['?', '👍', true],
    ['[a-c]?', 'b1', true],
    ['[!a-c]?', 'b1', false],
    ['[!a-c]?', 'd1', true],
    ['[]]', ']', true],
    ['[!]]', ']', false],
    ['[', '[', true],
    ['[ab', '[ab', true],
    ['[a-]', '-', true],
    ['[^a]', '^', true],
    ['[^a]', 'b', false],
    [`${'*a'.repeat(30)}b`, 'a'.repeat(60), false],
  ]
  for (const [pattern, name, expected] of rows)
    t.equal(matchesName(pattern, name), expected, `${pattern} ${name}`)
  const folder = tree(t, { 'a/x.1': '', 'b/x.1': '', 'b/.x.1': '', 'c.1': '' })
  t.same(await globFiles(`${folder}/*/x.?`), [`${folder}/a/x.1`, `${folder}/b/x.1`])
  t.same(await globFiles(`${folder}/?/.x*`), [`${folder}/b/.x.1`])
  t.same(await globFiles(`${folder}/c.1`), [`${folder}/c.1`])
  t.same(await globFiles(`${folder}/nope/*`), [])
  t.same(await globFiles(`${folder}/b/../a/*`), [`${folder}/b/../a/x.1`])
})
