import t from 'tap'
import { warningsOf, withDefaults } from '../../../src/core/programs/definition.ts'
import { IniDocument } from '../../../src/core/programs/ini/document.ts'
import { editSection, readSection } from '../../../src/core/programs/read.ts'
import { headOf, renderFile, renderSection, revisionOf, withHead } from '../../../src/core/programs/render.ts'
import { Definition } from '../../../src/protocol/definition.ts'
import { AgentError } from '../../../src/protocol/errors.ts'
import { HOSTILE } from './hostile-definitions.ts'

const LOGS = '/var/log/supervisor'

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
