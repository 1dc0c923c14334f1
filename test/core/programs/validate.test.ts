import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Accounts } from '../../../src/core/policy/accounts.ts'
import { withDefaults } from '../../../src/core/programs/definition.ts'
import { renderFile } from '../../../src/core/programs/render.ts'
import { type Validation, validate } from '../../../src/core/programs/validate.ts'
import { discover } from '../../../src/core/supervisor/discovery.ts'
import { hostFacts } from '../../../src/core/supervisor/host-facts.ts'
import type { Definition } from '../../../src/protocol/definition.ts'

/** A folder with a main file and the files that it includes. */
class Config {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), 'sv-')))
  readonly mine = join(this.folder, 'conf.d/agent-web.conf')
  readonly logs = join(this.folder, 'log')

  constructor(t: Test, files: Record<string, string> = {}) {
    t.teardown(() => rmSync(this.folder, { recursive: true, force: true }))
    mkdirSync(join(this.folder, 'conf.d'))
    mkdirSync(this.logs)
    this.write(
      's.conf',
      `[supervisord]\nlogfile=${this.logs}/main.log\nminfds=200\n[include]\nfiles=conf.d/*.conf\n`,
    )
    for (const [name, text] of Object.entries(files)) this.write(name, text)
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text.replaceAll('LOGS', this.logs))
  }

  /** The judgement on a program, or on a text in the place of its file; null takes the file away. */
  async judge(
    given: Partial<Definition> | string | null,
    environment?: Record<string, string>,
  ): Promise<Validation> {
    const options = {
      pid: null,
      configFile: join(this.folder, 's.conf'),
      programDir: 'auto',
      programExt: 'auto',
    } as const
    const seen = await discover(options)
    const process = { pid: 1, argv: [], exe: null, cwd: '/', uid: 0, gid: 0 }
    const discovery = environment ? { ...seen, supervisord: { ...process, environment } } : seen
    const definition =
      typeof given === 'string' || given === null
        ? null
        : withDefaults({ name: 'web', command: '/bin/cat', ...given }, this.logs)
    const text = definition ? renderFile(definition) : given
    const overlay = new Map([
      [this.mine, typeof text === 'string' ? Buffer.from(text.replaceAll('LOGS', this.logs)) : null],
    ])
    const facts = hostFacts(discovery, new Accounts())
    return await validate({ discovery, facts, overlay, files: [this.mine], definition })
  }
}

await t.test('a program that nothing speaks against', async (t) => {
  const config = new Config(t, { 'conf.d/other.conf': '[program:other]\ncommand=/bin/cat\n' })
  const full: Partial<Definition> = {
    processes: 3,
    user: userInfo().username,
    directory: config.folder,
    environment: { A: 'x ,;"y" z', URL: 'http://h/?a=1&b=2#c' },
    limits: { nice: 5 },
    stdoutLogfileMaxBytes: 1000,
  }
  for (const given of [{}, full])
    t.strictSame(await config.judge(given), { issues: [], foreign: [], warnings: [] })
})

await t.test('what the host or other files say against a program names its field', async (t) => {
  const rows: {
    it: string
    files?: Record<string, string>
    given: Partial<Definition>
    issues: [string, RegExp][]
  }[] = [
    { it: 'an unknown user', given: { user: 'nosuchuser' }, issues: [['user', /no user nosuchuser/]] },
    { it: 'an unknown number of a user', given: { user: '4123456789' }, issues: [['user', /no user/]] },
    {
      it: 'a folder that is missing',
      given: { directory: '/nowhere' },
      issues: [['directory', /no folder \/nowhere/]],
    },
    { it: 'a file for a folder', given: { directory: '/etc/passwd' }, issues: [['directory', /no folder/]] },
    {
      it: 'an executable that is missing',
      given: { command: '/nowhere/php artisan' },
      issues: [['command', /\/nowhere\/php/]],
    },
    {
      it: 'one that is not executable',
      given: { command: '/etc/passwd' },
      issues: [['command', /not an executable/]],
    },
    {
      it: 'a folder for an executable',
      given: { command: '/etc' },
      issues: [['command', /not an executable/]],
    },
    {
      it: 'one in no folder of PATH',
      given: { command: 'nosuchprogram x' },
      issues: [['command', /no nosuchprogram in/]],
    },
    {
      it: 'one in no folder of its own PATH',
      given: { command: 'cat', environment: { PATH: '/nowhere' } },
      issues: [['command', /no cat in \/nowhere/]],
    },
    { it: 'one by a relative path', given: { command: 'bin/cat' }, issues: [['command', /full path/]] },
    {
      it: 'a log folder that is missing',
      given: { stdoutLogfile: '/nowhere/a.log' },
      issues: [['stdoutLogfile', /no folder \/nowhere/]],
    },
    {
      it: 'a name that another file has',
      files: { 'conf.d/a.conf': '\n[program:web]\ncommand=/bin/true\n' },
      given: {},
      issues: [['name', /\[program:web\] in .*a\.conf:2/]],
    },
    {
      it: 'a name that a later file has',
      files: { 'conf.d/z.conf': '[program:web]\nuser=root\n' },
      given: {},
      issues: [['name', /z\.conf:1/]],
    },
    {
      it: 'a name that differs by a space',
      files: { 'conf.d/a.conf': '[program: web ]\ncommand=/bin/true\n' },
      given: {},
      issues: [['name', /\[program: web \]/]],
    },
    {
      it: 'a name that a group has',
      files: { 'conf.d/a.conf': '[group:web]\nprograms=x\n[program:x]\ncommand=/bin/true\n' },
      given: {},
      issues: [['name', /\[group:web\]/]],
    },
    {
      it: 'a name that a listener has',
      files: { 'conf.d/a.conf': '[eventlistener:web]\ncommand=/bin/true\nevents=TICK_5\n' },
      given: {},
      issues: [['name', /\[eventlistener:web\]/]],
    },
    {
      it: 'a name that a fcgi-program has',
      files: { 'conf.d/a.conf': '[fcgi-program:web]\ncommand=/bin/true\nsocket=tcp://127.0.0.1:9009\n' },
      given: {},
      issues: [['name', /\[fcgi-program:web\]/]],
    },
    {
      it: 'a group that would take it in',
      files: { 'conf.d/a.conf': '[group:all]\nprograms=x,web\n[program:x]\ncommand=/bin/true\n' },
      given: {},
      issues: [['name', /\[group:all\] in .* takes it out/]],
    },
    {
      it: 'a log that another program writes',
      files: {
        'conf.d/a.conf':
          '[program:x]\ncommand=/bin/true\nnumprocs=2\nprocess_name=%(process_num)d\nstdout_logfile=LOGS/web-%(process_num)d.log\n',
      },
      given: { stdoutLogfile: 'LOGS/web-1.log' },
      issues: [['stdoutLogfile', /written by \[program:x\]/]],
    },
    {
      it: 'the log of supervisord',
      given: { stderrLogfile: 'LOGS/main.log' },
      issues: [['stderrLogfile', /written by \[supervisord\]/]],
    },
  ]
  for (const { it, files, given, issues } of rows) {
    const config = new Config(t, files)
    const placed = JSON.parse(JSON.stringify(given).replaceAll('LOGS', config.logs)) as Partial<Definition>
    const found = await config.judge(placed)
    t.strictSame(
      found.issues.map(({ path }) => path),
      issues.map(([path]) => path),
      it,
    )
    for (const [index, [, message]] of issues.entries()) t.match(found.issues[index]?.message, message, it)
    t.strictSame(found.foreign, [], `${it}: nothing foreign`)
  }
})

await t.test('the surge groups of a scaled program are its own', async (t) => {
  const config = new Config(t)
  const surge = { group: 'web.surge1', processes: 2, numprocsStart: 1, autostart: false }
  const scaled = withDefaults({ name: 'web', command: '/bin/cat', processes: 3 }, config.logs)
  config.write('conf.d/agent-web.surge1.conf', renderFile(scaled, surge))
  t.strictSame((await config.judge({ processes: 3 })).issues, [])
})

await t.test('what a hand has put into our file is judged as well', async (t) => {
  const web = '[program:web]\ncommand=/bin/cat\n'
  const rows: [text: string, path: string, message: RegExp][] = [
    ['[program:web]\ncommand=/bin/date +%s\n', 'command', /all its variables/],
    ['[program:web]\ncommand=/bin/date +%Y\n', 'command', /written %%/],
    [`${web}environment=URL=http://h:80/p?q=1,B=2\n`, 'environment', /loses a part/],
    [`${web}environment=A=a#b,B=1\n`, 'environment', /loses a part/],
    [`${web}environment=A="1" B="2"\n`, 'environment', /not KEY/],
    [`${web}numprocs=0\n`, 'processes', /never seen/],
    [`${web}numprocs=2\n`, 'name', /process_num/],
    [`${web}numprocs=3\nprocess_name=w%%(process_num)d\n`, 'name', /one name/],
    [
      `${web}numprocs=2\nprocess_name=w%(process_num)d\nstdout_logfile=LOGS/w.log\n`,
      'stdoutLogfile',
      /several/,
    ],
    [`${web}stopsignal=0\n`, 'stopSignal', /stops nothing/],
    [`${web}priority=2147483648\n`, 'priority', /could not answer/],
    [`${web}stdout_logfile_maxbytes=2GB\n`, 'stdoutLogfileMaxBytes', /could not answer/],
    [`${web}stdout_logfile_maxbytes=10M\n`, 'stdoutLogfileMaxBytes', /no size/],
    [`${web}stopasgroup=true\nkillasgroup=no\n`, 'killAsGroup', /stopasgroup/],
    [`${web}exitcodes=0;2\n`, 'exitCodes', /exit statuses/],
    [`${web}x\n`, 'definition', /no "="/],
    [`\ufeff${web}`, 'definition', /before the first/],
    ['[program:web]\nuser=root\n', 'definition', /no command/],
    [`${web}[program:web]\nstartsecs=2\n`, 'name', /taken/],
  ]
  const config = new Config(t)
  for (const [text, path, message] of rows) {
    const { issues } = await config.judge(text)
    t.match(issues[0], { path, message }, text)
  }
  for (const text of [
    `${web}environment=A='{"a": [1,2]}',B="x#y",\n`,
    `${web}environment=A="%(ENV_HOME)s/x?y"\ndirectory=%(here)s\nx-own=1\n`,
    `${web}numprocs=2\nprocess_name=w%(process_num)d\nstdout_logfile=LOGS/w.log\nstdout_logfile_maxbytes=0\n`,
  ])
    t.strictSame(await config.judge(text), { issues: [], foreign: [], warnings: [] }, text)
})

await t.test('what blocks supervisord already is told with its file and line', async (t) => {
  const config = new Config(t, {
    'conf.d/a.conf': '[program:a]\ncommand=/bin/true\n; why\nstartsecs=soon\n',
    'conf.d/b.conf': '[program:b]\ncommand=/bin/true\nuser=nosuchuser\nstray\n',
    'conf.d/c.conf': '[group:c]\nprograms=missing\n',
  })
  for (const given of [{}, null]) {
    const { issues, foreign } = await config.judge(given)
    t.strictSame(issues, [])
    t.match(foreign, [
      { file: /b\.conf$/, line: 4, message: /no "="/ },
      { file: /c\.conf$/, line: 2, message: /no program missing/ },
      { file: /a\.conf$/, line: 4, message: /soon is no integer/ },
      { file: /b\.conf$/, line: 3, message: /no user nosuchuser/ },
    ])
  }
  config.write('conf.d/b.conf', '')
  config.write('conf.d/a.conf', '')
  config.write('conf.d/c.conf', '[group:c]\nprograms=web\n')
  config.write('conf.d/agent-web.conf', '[program:web]\ncommand=/bin/cat\n')
  const gone = await config.judge(null)
  t.strictSame(gone.foreign, [], 'what the change itself would break is its own')
  t.match(gone.issues, [{ path: 'name', message: /\[group:c\] in .*c\.conf:2: there is no program web/ }])
})

await t.test('more processes than descriptors are a warning', async (t) => {
  const config = new Config(t)
  t.match((await config.judge({ processes: 60 })).warnings, [/about 230 file descriptors.* 200/])
  t.strictSame((await config.judge({ processes: 40 })).warnings, [])
  t.match((await config.judge({ redirectStderr: true, stderrLogfile: `${config.logs}/e` })).warnings, [
    /not used/,
  ])
})

await t.test('one program among 300 files is judged in the time of a keystroke', async (t) => {
  const files = Array.from({ length: 300 }, (_, index): [string, string] => [
    `conf.d/p${index}.conf`,
    `[program:p${index}]\ncommand=/bin/cat\nnumprocs=4\nprocess_name=%(program_name)s_%(process_num)02d\nredirect_stderr=true\nstdout_logfile=LOGS/p${index}_%(process_num)02d.log\n`,
  ])
  const config = new Config(t, Object.fromEntries(files))
  const from = performance.now()
  const { issues } = await config.judge({})
  const tookMs = performance.now() - from
  t.strictSame(issues, [])
  t.ok(tookMs < 5000, `${Math.round(tookMs)} ms`)
  t.comment(`${Math.round(tookMs)} ms`)
})

await t.test('text is ASCII where supervisord reads another encoding than UTF-8', async (t) => {
  const config = new Config(t)
  const given = { command: '/bin/echo Zürich', environment: { A: 'plain' } }
  for (const environment of [
    {},
    { LANG: 'C' },
    { LANG: 'de_AT', LC_ALL: 'C.UTF-8' },
    { LC_CTYPE: 'en_US.utf8' },
  ])
    t.strictSame((await config.judge(given, environment)).issues, [], JSON.stringify(environment))
  const { issues } = await config.judge(given, { LANG: 'de_AT.ISO-8859-1' })
  t.match(issues, [{ path: 'command', message: /de_AT\.ISO-8859-1/ }])
})
