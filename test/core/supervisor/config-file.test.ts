import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { expand } from '../../../src/core/supervisor/config-expand.ts'
import {
  ConfigReader,
  type ConfigSection,
  parseConfigText,
  parseFile,
} from '../../../src/core/supervisor/config-file.ts'
import { processNames } from '../../../src/core/supervisor/config-names.ts'
import { readConfigTree } from '../../../src/core/supervisor/config-tree.ts'
import { RecentFiles } from '../../../src/core/supervisor/recent-files.ts'
import { supervisorCommand } from '../../fixtures/supervisor-command.ts'
import { until } from '../../fixtures/wait.ts'

const folder = mkdtempSync(join(tmpdir(), 'sc-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** Runs a script of Python with supervisord's packages; its input and its output are JSON. */
function python(script: string, input: unknown): unknown {
  const { python: command, env } = supervisorCommand()
  const answer = execFileSync(command, ['-c', `import sys, json\nrows = json.load(sys.stdin)\n${script}`], {
    input: JSON.stringify(input),
    env: { PATH: '/usr/bin:/bin', ...env },
  })
  return JSON.parse(answer.toString())
}

/** What supervisord's own parser sees in each text: section to key to value, and whether it refuses. */
const PARSE = `
import io
from supervisor.options import UnhosedConfigParser
answers = []
for text in rows:
    parser = UnhosedConfigParser()
    refused = False
    try:
        parser.read_file(io.TextIOWrapper(io.BytesIO(text.encode()), encoding='utf-8'))
    except Exception:
        refused = True
    answers.append({'refused': refused, 'sections': {name: dict(parser.items(name)) for name in parser.sections()}})
print(json.dumps(answers))`

interface Seen {
  refused: boolean
  sections: Record<string, Record<string, string>>
}

function see(sections: readonly ConfigSection[]): Seen['sections'] {
  return Object.fromEntries(sections.map(({ header, keys }) => [header, Object.fromEntries(keys)]))
}

const TEXTS: Record<string, string> = {
  'the file of Debian': `; supervisor config file

[unix_http_server]
file=/var/run/supervisor.sock   ; (the path to the socket file)
chmod=0700                       ; sockef file mode (default 0700)

[supervisord]
logfile=/var/log/supervisor/supervisord.log ; (main log file;default $CWD/supervisord.log)
pidfile=/var/run/supervisord.pid ; (supervisord pidfile;default supervisord.pid)
childlogdir=/var/log/supervisor            ; ('AUTO' child log dir, default $TEMP)

; the below section must remain in the config file for RPC
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[include]
files = /etc/supervisor/conf.d/*.conf
`,
  'laravel workers': `[program:laravel-worker]
process_name=%(program_name)s_%(process_num)02d
command=php /home/forge/app.com/artisan queue:work sqs --sleep=3 --tries=3 --max-time=3600
autostart=true
user=forge
numprocs=8
redirect_stderr=true
stdout_logfile=/home/forge/app.com/worker.log
stopwaitsecs=3600
`,
  'a value over several lines': `[program:x]
command=/usr/bin/app
    --one
      --two=2 ; not this
    # nor this

    --three
environment=A="1",
  B="2"
directory=/tmp
`,
  'comments with and without white space': `[program:x] ; head
command=a;b
environment=C="a#b" # cut
directory=/x ;a # b ; c
user=y;z ; k # l
stdout_logfile = /a#b;c #d
exitcodes=0;1	;tab
`,
  'signs that are searched in step': '[p]\na=x;y;z # c\nb=#;#x ;y\nc=;;; ; ;\nd=v;#w #;\n',
  'CR LF': '[program:x]\r\ncommand=cat\r\n  more\r\n\r\n[program:y]\r\nuser=z\r\n',
  'bare CR': '[program:x]\rcommand=cat\ruser=me',
  'one section twice': '[program:x]\ncommand=a\nuser=u\n[program:y]\ncommand=b\n[program:x]\ncommand=c\n',
  'one key twice': '[program:x]\ncommand=a\nCommand=b\n  more\nCOMMAND : c\n',
  'a colon for the sign': '[program:x]\ncommand: /bin/cat\nurl=http://h:80/?a=b\nenvironment:A=1\n',
  'spaces around all': '  [program:x]  \n  command   =   cat  \n\n   user =me\n',
  'an indented key of the next section': '[a]\nkey=1\n [b]\n more=2\n',
  'a section that is indented less': '[a]\n  key=1\n  next=2\n    long\nlast=3\n',
  'an odd header': '[a]b] tail\nk=v\n[ program:z ]\nk=w\n[x\n]=y\n',
  'an empty value': '[program:x]\ncommand=\nuser =\nnext=1\n',
  'an empty line in a value': '[a]\nk=1\n\n  2\n\n\nl=3\n',
  defaults:
    '[DEFAULT]\nuser=www\nautostart=false\n[program:x]\ncommand=a\nautostart=true\n[program:y]\ncommand=b\n',
  'white space that is not ASCII': '[a]\nk=\u00a0v\u00a0\n\u2003l=1\nm=a\u3000;b\nn=\u001cx\u0085\n',
  'not white space for Python': '[a]\nk=\ufeffv\ufeff\nl=\u200bx\u200b\n',
  'text of all scripts': '[program:ünï]\ncommand=écho 中文 👍 ; комментарий\nKÄSE=Ä\n',
  percent: '[program:x]\ncommand=date +%%s %(here)s %(ENV_HOME)s %(process_num)02d\n',
  quotes: '[program:x]\ncommand=bash -c "echo \'a;b\' ; exit 1"\nenvironment=A="x ;y",B=\'#\'\n',
  tabs: '[program:x]\n\tcommand\t=\tcat\n\t\tmore\n',
  'an empty file': '',
  'comments only': '; a\n# b\n\n',
  'no end of line': '[a]\nk=v',
  'a line before the first section': 'k=v\n[a]\nl=w\n',
  'a byte order mark': '\ufeff[a]\nk=v\n',
  'a line without a sign': '[a]\nk=v\nnonsense\nl=w\n',
  'a line without a key': '[a]\n=v\nl=w\n',
  'an open header': '[a\nk=v\n',
  'an empty header': '[]\nk=v\n',
}

await t.test('sections and keys are those of supervisord itself', async (t) => {
  const answers = python(PARSE, Object.values(TEXTS)) as Seen[]
  for (const [index, [name, text]] of Object.entries(TEXTS).entries()) {
    const { sections, errors } = parseConfigText(text, 'x.conf')
    const theirs = answers[index]
    t.equal(errors.length > 0, theirs?.refused, `${name}: refused or not`)
    if (!theirs?.refused) t.same(see(sections), theirs?.sections, name)
  }
})

await t.test('texts made at random are read as supervisord reads them', async (t) => {
  const parts = [
    '[a]',
    '[b]',
    'k',
    'L',
    '=',
    ':',
    ' ',
    '  ',
    ';',
    '#',
    '\n',
    '\n',
    '\n ',
    '\r\n',
    '\t',
    'v',
    '"',
    '%(here)s',
    '\u00a0',
  ]
  let seed = 7
  const next = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor((seed / 2_147_483_648) * below)
  }
  const texts = Array.from({ length: 1500 }, () =>
    ['[a]\n', ...Array.from({ length: next(30) }, () => parts[next(parts.length)])].join(''),
  )
  const answers = python(PARSE, texts) as Seen[]
  const wrong = texts.filter((text, index) => {
    const { sections, errors } = parseConfigText(text, 'x.conf')
    const theirs = answers[index]
    if (errors.length > 0 !== theirs?.refused) return true
    return !theirs.refused && JSON.stringify(see(sections)) !== JSON.stringify(theirs.sections)
  })
  t.same(wrong, [])
  t.ok(answers.filter(({ refused }) => !refused).length > 200, 'many of them are configurations')
})

await t.test('files merge as supervisord merges them', async (t) => {
  const files: [string, string][] = [
    ['main/s.conf', '[supervisord]\nlogfile=%(here)s/s.log\n[program:x]\ncommand=a %(here)s\nuser=u\n'],
    ['main/conf.d/1.conf', '[program:x]\ncommand=b %%(here)s\n[program:y]\ndirectory=%(here)s\n'],
    ['main/conf.d/2.conf', '[DEFAULT]\nuser=d\n[program:y]\ncommand=%(here)s/c\n'],
  ]
  mkdirSync(join(folder, 'main/conf.d'), { recursive: true })
  const reader = new ConfigReader()
  const paths = files.map(([name, text]) => {
    const path = join(folder, name)
    writeFileSync(path, text)
    reader.add(parseFile(text, path, join(path, '..')))
    return path
  })
  const theirs = python(
    `
import os
from supervisor.options import UnhosedConfigParser
parser = UnhosedConfigParser()
for path in rows:
    parser.read(path)
    parser.expand_here(os.path.dirname(path))
print(json.dumps({name: dict(parser.items(name)) for name in parser.sections()}))`,
    paths,
  ) as Seen['sections']
  t.same(see(reader.sections()), theirs)
  t.same(
    reader.sections().map(({ header, type, name, file, line }) => [header, type, name, file, line]),
    [
      ['supervisord', 'supervisord', '', paths[0], 1],
      ['program:x', 'program', 'x', paths[0], 3],
      ['program:y', 'program', 'y', paths[1], 3],
    ],
  )
})

await t.test('expansions are those of Python', async (t) => {
  const names = { here: '/etc', n: 7, minus: -3, s: 'text' }
  const good = [
    '%(here)s/x',
    '%(n)d',
    '%(n)02d',
    '%(n)s',
    '%(n)5d|',
    '%(n)-5d|',
    '%(minus)05d',
    '%(n)+d',
    '%(n)+04d',
  ]
  const more = [
    '%%',
    '%%(here)s',
    '100%% of %(s)s',
    '%(s)8s|',
    '%(s)-8s|',
    '%(s)08s',
    '%(n) d',
    'plain',
    '%(n)i',
    '%(minus)+d',
  ]
  const bad = ['%', '50%', '%(missing)s', '%(s)d', '%s', '%(here)', '%(here)z', 'a % b', '%(n']
  const texts = [...good, ...more, ...bad]
  const theirs = python(
    `
answers = []
for text in rows['texts']:
    try: answers.append(text % rows['names'])
    except Exception: answers.append(None)
print(json.dumps(answers))`,
    { texts, names },
  ) as (string | null)[]
  for (const [index, text] of texts.entries()) {
    const { value, unknown } = expand(text, names)
    if (text === '%s')
      t.not(unknown.length, 0, 'Python would print the whole table; supervisord has no use for that')
    else if (theirs[index] === null)
      t.ok(unknown.length > 0 && value.includes(unknown[0] ?? '-'), `${text} is left and told`)
    else t.same({ value, unknown }, { value: theirs[index], unknown: [] }, text)
  }
})

await t.test('what Python refuses to expand is refused, and nothing else', async (t) => {
  const names = { here: '/etc', n: 7, minus: -3, one: 'x', 'a(b)': 'nested' }
  const parts =
    '% %% ( ) (here) (n) (minus) (one) (nope) (a(b)) s d i u r a c x o e f g G % - + # 0 5 12 . * h l é'
  let seed = 11
  const next = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor((seed / 2_147_483_648) * below)
  }
  const choice = [...parts.split(' '), ' ', '%(n)', '%(here)s', '%(n)02d']
  const texts = Array.from({ length: 4000 }, () =>
    Array.from({ length: 1 + next(7) }, () => choice[next(choice.length)]).join(''),
  )
  const theirs = python(
    `
answers = []
for text in rows['texts']:
    try: answers.append(text % rows['names'])
    except Exception: answers.append(None)
print(json.dumps(answers))`,
    { texts, names },
  ) as (string | null)[]
  const wrong = texts.filter((text, index) => {
    const { value, unknown, isRefused } = expand(text, names)
    const their = theirs[index]
    return isRefused !== (their === null) || (unknown.length === 0 && value !== their)
  })
  t.same(
    wrong.filter((text) => !text.includes('*')),
    [],
  )
  t.ok(theirs.filter((value) => value !== null).length > 500, 'many can be expanded')
})

function namesOf(text: string): { group: string; process: string }[] {
  const { sections } = parseConfigText(text, 'x.conf')
  return sections.flatMap(
    (section) => processNames(section, sections, { here: folder, host_node_name: 'h', ENV_N: '2' }).processes,
  )
}

function sameNames(t: Test, name: string, text: string): void {
  const file = join(folder, 'names.conf')
  writeFileSync(file, `[supervisord]\n[unix_http_server]\nfile=${folder}/s\n${text}`)
  const theirs = python(
    `
import os
os.environ['N'] = '2'
from supervisor.options import ServerOptions
options = ServerOptions()
options.realize(['-c', rows])
groups = options.process_group_configs
print(json.dumps([{'group': g.name, 'process': p.name} for g in groups for p in {p.name: p for p in g.process_configs}.values()]))`,
    file,
  ) as { group: string; process: string }[]
  const sorted = (rows: { group: string; process: string }[]): string[] =>
    rows.map(({ group, process }) => `${group}:${process}`).toSorted()
  t.same(sorted(namesOf(text)), sorted(theirs), name)
}

await t.test('process names and groups are those that supervisord makes', async (t) => {
  const texts: Record<string, string> = {
    'one process': '[program:web]\ncommand=cat\n',
    'eight workers':
      '[program:w]\ncommand=cat\nnumprocs=8\nprocess_name=%(program_name)s_%(process_num)02d\n',
    'a start':
      '[program:w]\ncommand=cat\nnumprocs= 3\nnumprocs_start=9\nprocess_name=%(group_name)s-%(process_num)s\n',
    'none at all': '[program:w]\ncommand=cat\nnumprocs=0\n',
    'a number of the environment':
      '[program:w]\ncommand=cat\nnumprocs=%(ENV_N)s\nprocess_name=p%(process_num)d_%(numprocs)d\n',
    groups:
      '[group:g]\nprograms=a, b\n[group:h]\nprograms=b\n[program:a]\ncommand=cat\n[program:b]\ncommand=cat\nprocess_name=%(group_name)s_b\n[program:c]\ncommand=cat\n',
    'a listener and fastcgi':
      '[eventlistener:pool]\ncommand=cat\nevents=TICK_5\n[fcgi-program:f]\ncommand=cat\nsocket=tcp://127.0.0.1:9\nnumprocs=2\nprocess_name=%(program_name)s%(process_num)d\n[group:g]\nprograms=f\n',
  }
  for (const [name, text] of Object.entries(texts)) sameNames(t, name, text)
})

await t.test('what makes no sense as a number is told', async (t) => {
  const { sections } = parseConfigText(
    '[program:w]\nnumprocs=many\nprocess_name=%(nope)s\n[program:x]\nnumprocs=999999999\n',
    'x',
  )
  const [w, x] = sections
  if (!w || !x) throw new Error('two sections expected')
  t.same(processNames(w, sections), {
    processes: [{ group: 'w', process: '%(nope)s' }],
    unknown: ['numprocs=many', '%(nope)s'],
  })
  t.match(processNames(x, sections), { unknown: ['numprocs=999999999'] })
})

await t.test('what was read a moment ago is read again when anything of its file changed', async (t) => {
  const file = join(folder, 'recent/a.ini')
  const mainFile = join(folder, 'recent/s.conf')
  mkdirSync(join(folder, 'recent'))
  writeFileSync(mainFile, '[include]\nfiles=*.ini\n')
  writeFileSync(file, '[program:a]\nuser=1\n')
  const recent = new RecentFiles()
  const read = async () => {
    const { parsed, sections } = await readConfigTree(mainFile, {}, { recent })
    return { parsed: parsed.get(file), user: sections.find(({ name }) => name === 'a')?.keys.get('user') }
  }
  const readTwice = async () => {
    utimesSync(file, 1, 1)
    return (await read()).parsed !== (await read()).parsed
  }
  await until(readTwice, 'a file that was just changed to be read each time')
  const remembered = async () => {
    const [before, after] = [await read(), await read()]
    return before.parsed === after.parsed ? before : null
  }
  const { parsed } = await until(remembered, 'the file to be remembered')
  writeFileSync(file, '[program:a]\nuser=2\n')
  utimesSync(file, 1, 1)
  t.equal((await read()).user, '2', 'of the same size and time of change')
  t.not((await read()).parsed, parsed)
  const other = join(folder, 'other')
  writeFileSync(other, '[program:a]\nuser=3\n')
  utimesSync(other, 1, 1)
  renameSync(other, file)
  t.equal((await read()).user, '3', 'another file in its place')
  rmSync(file)
  t.equal((await read()).user, undefined, 'one that is gone')
})
