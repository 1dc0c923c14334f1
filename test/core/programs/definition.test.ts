import t from 'tap'
import { warningsOf, withDefaults } from '../../../src/core/programs/definition.ts'
import { IniDocument } from '../../../src/core/programs/ini/document.ts'
import { editSection, readSection } from '../../../src/core/programs/read.ts'
import { headOf, renderFile, renderSection, revisionOf, withHead } from '../../../src/core/programs/render.ts'
import { Definition } from '../../../src/protocol/definition.ts'
import { AgentError } from '../../../src/protocol/errors.ts'

const LOGS = '/var/log/supervisor'

/** What a hostile or careless panel sends, and the field that the refusal names. */
const HOSTILE: [it: string, fields: Record<string, unknown>, path: string][] = [
  ['no name', { name: undefined }, 'name'],
  ['an empty name', { name: '' }, 'name'],
  ['a name with a line end', { name: 'web\n[program:evil]' }, 'name'],
  ['a name with a bare CR', { name: 'web\r' }, 'name'],
  ['a name with NUL', { name: 'web\0' }, 'name'],
  ['a name with a bracket', { name: 'web]' }, 'name'],
  ['a name that closes its header', { name: 'web]\ncommand=/bin/sh' }, 'name'],
  ['a header for a name', { name: '[program:evil]' }, 'name'],
  ['a name that leaves the folder', { name: '../../etc/cron.d/evil' }, 'name'],
  ['two dots', { name: '..' }, 'name'],
  ['a name with a slash', { name: 'a/b' }, 'name'],
  ['a name with a colon', { name: 'a:b' }, 'name'],
  ['a name with a space', { name: 'a b' }, 'name'],
  ['a name with a percent sign', { name: '%(ENV_HOME)s' }, 'name'],
  ['a name of 300 characters', { name: 'a'.repeat(300) }, 'name'],
  ['a name that is not ASCII', { name: 'wörker' }, 'name'],
  ['a name like an option', { name: '-c' }, 'name'],
  ['a hidden file for a name', { name: '.web' }, 'name'],
  ['the word for all programs', { name: 'all' }, 'name'],
  ['a selector for a name', { name: '*' }, 'name'],
  ['the group of the listener', { name: 'supervisor-agent' }, 'name'],
  ['a name of a surge group', { name: 'web.surge1' }, 'name'],
  ['no command', { command: undefined }, 'command'],
  ['an empty command', { command: '' }, 'command'],
  ['a command of a space', { command: ' ' }, 'command'],
  ['a command of empty quotes', { command: '""' }, 'command'],
  ['a line end in the command', { command: '/bin/a\n[program:evil]\ncommand=/bin/b' }, 'command'],
  ['a bare CR in the command', { command: '/bin/a\ruser=root' }, 'command'],
  ['NUL in the command', { command: '/bin/a\0b' }, 'command'],
  ['an escape character in the command', { command: '/bin/a \x1b[2J' }, 'command'],
  ['a line separator of Unicode', { command: '/bin/a\u2028user=root' }, 'command'],
  ['a paragraph separator of Unicode', { command: '/bin/a\u2029user=root' }, 'command'],
  ['NEL', { command: '/bin/a\u0085user=root' }, 'command'],
  ['half a character', { command: '/bin/a \ud800' }, 'command'],
  ['a comment that would cut the command', { command: '/bin/sleep 60 ; comment' }, 'command'],
  ['the other comment', { command: '/bin/sleep 60 # comment' }, 'command'],
  ['a variable of supervisord in the command', { command: '/bin/echo %(ENV_SECRET)s' }, 'command'],
  ['a variable of supervisord, percent doubled', { command: '/bin/echo %%(ENV_SECRET)s' }, 'command'],
  ['the folder of the configuration', { command: '%(here)s/run' }, 'command'],
  ['a number of a kind we do not write', { command: '/bin/a %(process_num)x' }, 'command'],
  ['a quotation that does not end', { command: '/bin/sh -c "a' }, 'command'],
  ['an escape that does not end', { command: '/bin/a \\' }, 'command'],
  ['a command of 100 KB', { command: `/bin/echo ${'x'.repeat(100_000)}` }, 'command'],
  ['limits in the command', { command: '/usr/bin/nice -n 5 /bin/a' }, 'command'],
  ['a command that is a list', { command: ['/bin/a'] }, 'command'],
  ['a folder that is not absolute', { directory: 'srv/app' }, 'directory'],
  ['a folder of the home', { directory: '~/app' }, 'directory'],
  ['a folder with a line end', { directory: '/srv\n' }, 'directory'],
  ['a folder with a comment', { directory: '/srv/a ;b' }, 'directory'],
  ['a folder with a number', { directory: '/srv/%(process_num)d' }, 'directory'],
  ['a user with a line end', { user: 'deploy\nuser=root' }, 'user'],
  ['a user with a space', { user: 'a b' }, 'user'],
  ['a negative user', { user: '-1' }, 'user'],
  ['a number of a user as Python alone reads it', { user: '0_0' }, 'user'],
  ['no process', { processes: 0 }, 'processes'],
  ['10 000 processes', { processes: 10_000 }, 'processes'],
  ['half a process', { processes: 1.5 }, 'processes'],
  ['a number as text', { processes: '2' }, 'processes'],
  ['a negative first number', { numprocsStart: -1 }, 'numprocsStart'],
  ['a priority that breaks the answers of supervisord', { priority: 2 ** 31 }, 'priority'],
  [
    'a size that breaks the answers of supervisord',
    { stdoutLogfileMaxBytes: 2 ** 31 },
    'stdoutLogfileMaxBytes',
  ],
  ['a negative size', { stderrLogfileMaxBytes: -1 }, 'stderrLogfileMaxBytes'],
  ['a million old logs', { stdoutLogfileBackups: 1_000_000 }, 'stdoutLogfileBackups'],
  ['seconds for ever', { stopWaitSecs: 1e12 }, 'stopWaitSecs'],
  ['an unknown signal', { stopSignal: 'NOPE' }, 'stopSignal'],
  ['a signal that stops nothing', { stopSignal: 'CONT' }, 'stopSignal'],
  ['a signal with a line', { stopSignal: 'TERM\nuser=root' }, 'stopSignal'],
  ['an exit status that there is not', { exitCodes: [256] }, 'exitCodes.0'],
  ['an odd autorestart', { autorestart: 'always' }, 'autorestart'],
  ['an umask with a nine', { umask: '089' }, 'umask'],
  ['an umask that Python reads', { umask: '0o22' }, 'umask'],
  ['an umask as a number', { umask: 22 }, 'umask'],
  ['a stop of all that kills one', { stopAsGroup: true, killAsGroup: false }, 'killAsGroup'],
  ['a variable name with =', { environment: { 'A=B': 'c' } }, 'environment.A=B'],
  ['a variable name with a comma', { environment: { 'A,B': 'c' } }, 'environment.A,B'],
  ['an empty variable name', { environment: { '': 'c' } }, 'environment.'],
  ['a variable with a line end', { environment: { A: 'a\n[program:evil]' } }, 'environment.A'],
  ['a variable with NUL', { environment: { A: 'a\0' } }, 'environment.A'],
  ['a variable with a tab', { environment: { A: 'a\t;b' } }, 'environment.A'],
  ['a variable with a comment', { environment: { A: 'one ; two' } }, 'environment.A'],
  [
    'a variable with a comment after another space',
    { environment: { A: 'one\u00a0# two' } },
    'environment.A',
  ],
  ['a variable with quotes of both kinds', { environment: { A: `it's "so"` } }, 'environment.A'],
  ['a variable in quotes', { environment: { A: '"quoted"' } }, 'environment.A'],
  ['a variable with a quote at its end', { environment: { A: "it'" } }, 'environment.A'],
  ['a variable with backslash and apostrophe', { environment: { A: "it's C:\\x" } }, 'environment.A'],
  ['a variable of supervisord in another', { environment: { A: '%(ENV_SECRET)s' } }, 'environment.A'],
  ['a variable that is no text', { environment: { A: 1 } }, 'environment.A'],
  ['the prototype', { environment: JSON.parse('{"__proto__":"x"}') as unknown }, 'environment.__proto__'],
  ['a log that is not absolute', { stdoutLogfile: 'app.log' }, 'stdoutLogfile'],
  ['a log of the home', { stdoutLogfile: '~root/.ssh/authorized_keys' }, 'stdoutLogfile'],
  ['a log that climbs', { stdoutLogfile: '/var/log/supervisor/../../../etc/passwd' }, 'stdoutLogfile'],
  ['a folder for a log', { stdoutLogfile: '/var/log/' }, 'stdoutLogfile'],
  ['a log with a variable', { stdoutLogfile: '/var/log/%(ENV_SECRET)s.log' }, 'stdoutLogfile'],
  ['a log with a percent sign', { stdoutLogfile: '/var/log/100%.log' }, 'stdoutLogfile'],
  ['a log in a folder with a number', { stdoutLogfile: '/var/log/%(process_num)d/a.log' }, 'stdoutLogfile'],
  ['a log with a line end', { stderrLogfile: '/var/log/a\nuser=root' }, 'stderrLogfile'],
  ['a log with a comment', { stderrLogfile: '/var/log/a ;b' }, 'stderrLogfile'],
  ['syslog for a file', { stdoutLogfile: 'syslog' }, 'stdoutLogfile'],
  ['one log for two processes', { processes: 2, stdoutLogfile: '/var/log/a.log' }, 'stdoutLogfile'],
  [
    'one log for two channels',
    { stdoutLogfile: '/var/log/a.log', stderrLogfile: '/var/log/a.log' },
    'stderrLogfile',
  ],
  ['an URL that is none', { serverurl: 'localhost' }, 'serverurl'],
  ['a limit that is none', { limits: {} }, 'limits'],
  ['a negative nice', { limits: { nice: -20 } }, 'limits.nice'],
  ['a limit of nothing', { limits: { memoryBytes: 0 } }, 'limits.memoryBytes'],
  ['an unknown limit', { limits: { cpu: 1 } }, 'limits'],
  ['an unknown field', { processName: 'x' }, 'definition'],
  ['an option with a line end', { preset: 'node', options: { entry: 'a\nb' } }, 'options.entry'],
  ['a preset that leaves its folder', { preset: '../x' }, 'preset'],
]

await t.test('a definition that would harm the host is refused, and its field named', async (t) => {
  t.ok(HOSTILE.length >= 60, `${HOSTILE.length} of them`)
  for (const [it, fields, path] of HOSTILE) {
    const given = { name: 'web', command: '/bin/cat', ...fields }
    const defined = Object.entries(given).filter(([, value]) => value !== undefined)
    const parsed = Definition.safeParse(Object.fromEntries(defined))
    // what the schema refuses leaves the agent as PROGRAM_INVALID with these very paths
    const found = parsed.success
      ? refusalOf(parsed.data)
      : parsed.error.issues.map((issue) => ({ ...issue, path: issue.path.join('.') || 'definition' }))
    t.equal(found[0]?.path, path, it)
    t.notMatch(JSON.stringify(found), /evil|SECRET_VALUE/, `${it}: what was sent is not repeated`)
  }
})

function refusalOf(definition: Definition): { path: string; message: string }[] {
  try {
    renderFile(withDefaults(definition, LOGS))
  } catch (error) {
    if (error instanceof AgentError && error.code === 'PROGRAM_INVALID')
      return error.facts['issues'] as { path: string; message: string }[]
    throw error
  }
  return []
}

await t.test('what only looks dangerous is carried as it is', async (t) => {
  const rows: [command: string, written: string][] = [
    ['/bin/date +%s', '/bin/date +%%s'],
    ['/bin/app --log "%(asctime)s %(message)s"', '/bin/app --log "%%(asctime)s %%(message)s"'],
    ['/bin/sh -c "a ; b # c"', '/bin/sh -c "a ""; b ""# c"'],
    ["/bin/sh -c 'a ;b'", "/bin/sh -c 'a '';b'"],
    ['/bin/a "x "";y"', '/bin/a "x """";y"'],
    ['/bin/a a;b c#d', '/bin/a a;b c#d'],
    ['/bin/a \\ ;b', "/bin/a \\ '';b"],
    ['/bin/a --port=80%(process_num)02d 5%', '/bin/a --port=80%(process_num)02d 5%%'],
    ['/bin/a [program:evil] user=root', '/bin/a [program:evil] user=root'],
  ]
  for (const [command, written] of rows) {
    const text = renderSection({ name: 'web', command })
    t.match(text.split('\n')[1], `command=${written}`)
    const [section] = IniDocument.parse(text).sections()
    t.equal(section && readSection(section).definition.command, command)
  }
})

await t.test('a worker gets what is safe where it does not say', async (t) => {
  const web = { name: 'web', command: '/bin/cat' }
  const rows: [given: Partial<Definition>, made: Record<string, unknown>][] = [
    [
      {},
      {
        processes: 1,
        stopAsGroup: true,
        killAsGroup: true,
        redirectStderr: true,
        stdoutLogfile: `${LOGS}/web.log`,
        stderrLogfile: undefined,
      },
    ],
    [{ processes: 3 }, { stdoutLogfile: `${LOGS}/web_%(process_num)02d.log` }],
    [
      { redirectStderr: false },
      { stdoutLogfile: `${LOGS}/web.log`, stderrLogfile: `${LOGS}/web-error.log`, redirectStderr: false },
    ],
    [{ redirectStderr: false, processes: 2 }, { stderrLogfile: `${LOGS}/web_%(process_num)02d-error.log` }],
    [{ stderrLogfile: '/x/e.log' }, { redirectStderr: false, stderrLogfile: '/x/e.log' }],
    [{ stderrLogfile: 'NONE' }, { redirectStderr: false, stderrLogfile: 'NONE' }],
    [{ stderrEventsEnabled: true }, { redirectStderr: false, stderrLogfile: `${LOGS}/web-error.log` }],
    [{ stdoutLogfile: 'NONE' }, { stdoutLogfile: 'NONE', redirectStderr: true }],
    [{ killAsGroup: false }, { stopAsGroup: false, killAsGroup: false }],
    [{ stopAsGroup: false }, { stopAsGroup: false, killAsGroup: true }],
  ]
  for (const [given, made] of rows)
    t.match(withDefaults({ ...web, ...given }, `${LOGS}/`), made, JSON.stringify(given))
  t.match(warningsOf({ ...web, redirectStderr: true, stderrLogfile: '/x' }), [/^stderrLogfile is not used/])
  t.strictSame(warningsOf({ ...web, redirectStderr: true, stderrLogfile: 'NONE' }), [])
  t.strictSame(warningsOf({ ...web, stderrLogfile: '/x' }), [])
})

await t.test('the file of a surge group has the same processes under another group', async (t) => {
  const text = renderFile(
    { name: 'web', command: '/bin/cat', processes: 2, autostart: true },
    { group: 'web.surge1', processes: 3, numprocsStart: 2, autostart: false },
  )
  t.strictSame(headOf(text), { name: 'web.surge1', revision: revisionOf(text) })
  const [section] = IniDocument.parse(text).sections()
  t.match(Object.fromEntries(section?.keys ?? []), {
    process_name: 'web_%(process_num)02d',
    numprocs: '3',
    numprocs_start: '2',
    autostart: 'false',
  })
  t.equal(section?.header, 'program:web.surge1')
})

await t.test('the head tells who the file is and whether others changed it', async (t) => {
  const text = renderFile({ name: 'web', command: '/bin/cat' })
  t.equal(headOf(text)?.revision, revisionOf(text))
  const changed = text.replace('/bin/cat', '/bin/dog')
  t.not(headOf(changed)?.revision, revisionOf(changed))
  t.equal(withHead(text, 'web'), text, 'a head takes the place of the one before')
  for (const foreign of ['[program:web]\r\ncommand=a\r\n', '; mine\n[program:web]\n', '', '\udcff\n']) {
    const headed = withHead(foreign, 'web')
    t.equal(headOf(foreign), null)
    t.equal(revisionOf(headed), revisionOf(foreign))
    t.ok(headed.endsWith(foreign), 'every byte below stays')
  }
  t.match(withHead('[program:web]\r\n', 'web'), /\r\n\[program:web\]\r\n$/)
})

await t.test('a foreign section is read as far as it goes', async (t) => {
  const [section] = IniDocument.parse(`[program: shop ]
command=/usr/bin/php artisan queue:work "a "";b" ; the queue
process_name=%(program_name)s-%(process_num)d
numprocs=0x4
autorestart=ON
stopsignal=3
exitcodes=0, 2
umask=22
stdout_logfile_maxbytes=10 MB
stderr_logfile=off
directory=%(here)s
environment=A='x,y',B=plain,PORT="80%(process_num)02d",P="5%%"
x-team=blue
`).sections()
  if (!section) throw new Error('no section')
  t.strictSame(readSection(section), {
    definition: {
      name: 'shop',
      command: '/usr/bin/php artisan queue:work "a ;b"',
      autorestart: true,
      stopSignal: 'QUIT',
      exitCodes: [0, 2],
      umask: '022',
      stdoutLogfileMaxBytes: 10 * 2 ** 20,
      stderrLogfile: 'NONE',
      environment: { A: 'x,y', B: 'plain', PORT: '80%(process_num)02d', P: '5%' },
    },
    notes: [
      'directory: its value is none that directory can have',
      'numprocs: its value is none that processes can have',
      'x-team: supervisord knows no such key',
      'process_name: its processes have names of their own',
    ],
  })
  const odd = IniDocument.parse(
    '[program:]\ncommand=%(ENV_X)s\nenvironment=A="%(ENV_SECRET)s"\n',
  ).sections()[0]
  t.match(odd && readSection(odd), { definition: { name: 'program:' }, notes: [/^command/, /^environment/] })
})

await t.test('an edit carries over what differs and leaves the rest of a hand-made file', async (t) => {
  const text = `; the shop
[program:shop]
command = /usr/bin/php artisan ; hm
x-team = blue
directory = %(here)s
stdout_logfile_maxbytes = 10MB ; small disk
user = www-data
`
  const file = IniDocument.parse(text)
  const [section] = file.sections()
  if (!section) throw new Error('no section')
  const from = readSection(section).definition
  const before = { ...from, name: 'shop' }
  editSection(file, 'program:shop', { from, to: before })
  t.equal(file.text, text, 'no difference is no change')
  const { user: _, ...without } = before
  editSection(file, 'program:shop', {
    from,
    to: { ...without, processes: 2, command: '/usr/bin/php artisan "a ;b"', limits: { nice: 5 } },
  })
  t.equal(
    file.text,
    `; the shop
[program:shop]
command = /usr/bin/nice -n 5 /usr/bin/php artisan "a "";b" ; hm
x-team = blue
directory = %(here)s
stdout_logfile_maxbytes = 10MB ; small disk
numprocs = 2
process_name = shop_%(process_num)02d
`,
  )
})
