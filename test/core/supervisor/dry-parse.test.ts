import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Discovery, discover } from '../../../src/core/supervisor/discovery.ts'
import { dryParse } from '../../../src/core/supervisor/dry-parse.ts'
import { supervisord } from '../../fixtures/supervisord.ts'

function found(pid: number): Promise<Discovery> {
  return discover({ pid, configFile: 'auto', programDir: 'auto', programExt: 'auto' })
}

await t.test('files are judged as they are, or as they would be', async (t) => {
  const host = await supervisord(t, { programs: { web: { command: 'sleep 600', autostart: false } } })
  const { folder, programDir } = host
  mkdirSync(join(folder, 'more'))
  symlinkSync(join(folder, 'more'), join(folder, 'linked'))
  writeFileSync(join(programDir, 'broken.conf'), '[program:broken]\nuser=root\n')
  const main = readFileSync(host.configFile, 'utf8').replace(
    'files=conf.d/*.conf',
    'files=conf.d/*.conf %(here)s/conf.d/../linked/[a-z]*.conf nothing/*.conf',
  )
  writeFileSync(host.configFile, main)
  const good = '[program:new]\ncommand=/bin/cat\nstdout_logfile=%(here)s/new.log\n'
  const bad = '[program:new]\ncommand=/bin/cat\nstartsecs=soon\n'
  const gone: [string, null] = [join(programDir, 'broken.conf'), null]
  const broken = /broken\.conf/
  const plugin = (spec: string): [string, string] => [
    host.configFile,
    `${main}\n[rpcinterface:own]\nsupervisor.rpcinterface_factory=${spec}\n`,
  ]
  const rows: { it: string; overlay: [path: string, text: string | null][]; fault: RegExp | null }[] = [
    { it: 'as they are', overlay: [], fault: broken },
    { it: 'the broken file gone', overlay: [gone], fault: null },
    { it: 'the broken file mended', overlay: [[gone[0], good]], fault: null },
    { it: 'another file does not mend it', overlay: [[join(programDir, 'new.conf'), good]], fault: broken },
    { it: 'a new file', overlay: [gone, [join(programDir, 'new.conf'), good]], fault: null },
    {
      it: 'a new file that is broken',
      overlay: [gone, [join(programDir, 'new.conf'), bad]],
      fault: /soon.*new\.conf/,
    },
    {
      it: 'by another way to it',
      overlay: [gone, [join(programDir, '../conf.d/new.conf'), bad]],
      fault: /soon/,
    },
    {
      it: 'behind a link',
      overlay: [gone, [join(folder, 'more/new.conf'), bad]],
      fault: /soon.*linked\/new\.conf/,
    },
    { it: 'behind the link itself', overlay: [gone, [join(folder, 'linked/new.conf'), bad]], fault: /soon/ },
    { it: 'one that no glob takes', overlay: [gone, [join(programDir, 'new.ini'), bad]], fault: null },
    { it: 'a hidden one', overlay: [gone, [join(programDir, '.new.conf'), bad]], fault: null },
    {
      it: 'in a folder that is not there',
      overlay: [gone, [join(folder, 'nothing/new.conf'), bad]],
      fault: /soon/,
    },
    {
      it: 'a log folder that is missing',
      overlay: [gone, [join(programDir, 'new.conf'), good.replace('/new', '/x/new')]],
      fault: /x\/new\.log/,
    },
    {
      it: 'bytes that are no text',
      overlay: [gone, [join(programDir, 'new.conf'), `${good}; \xff`]],
      fault: /codec/,
    },
    {
      it: 'line ends of all kinds',
      overlay: [gone, [join(programDir, 'new.conf'), good.replaceAll('\n', '\r\n')]],
      fault: null,
    },
    {
      it: 'a large one',
      overlay: [gone, [join(programDir, 'new.conf'), `; ${'x'.repeat(900_000)}\n${bad}`]],
      fault: /soon/,
    },
    { it: 'the main file', overlay: [[host.configFile, main.replace('[include]', '[other]')]], fault: null },
    { it: 'a plugin that is there', overlay: [gone, plugin('os.path:join')], fault: null },
    { it: 'a plugin within another thing', overlay: [gone, plugin('xml.dom:Node.mro')], fault: null },
    {
      it: 'a plugin that is not there',
      overlay: [gone, plugin('nowhere:make')],
      fault: /nowhere:make cannot be resolved within \[rpcinterface:own\]/,
    },
    {
      it: 'a plugin that its module lacks',
      overlay: [gone, plugin('os:nowhere')],
      fault: /os:nowhere cannot be resolved/,
    },
    { it: 'no main file', overlay: [[host.configFile, null]], fault: /could not find config file/ },
  ]
  const discovery = await found(host.pid)
  const before = readdirSync(folder, { recursive: true }).length
  for (const { it, overlay, fault } of rows) {
    const bytes = overlay.map(
      ([path, text]) => [path, text === null ? null : Buffer.from(text, 'latin1')] as const,
    )
    const verdict = await dryParse(discovery, new Map(bytes))
    t.match(verdict, { judged: true, fault: fault ?? null }, it)
  }
  t.equal(readdirSync(folder, { recursive: true }).length, before, 'nothing was written')
})

await t.test('it runs no code from the folder of supervisord', async (t) => {
  const host = await supervisord(t, {})
  for (const module of ['supervisor', 'json', 'fnmatch'])
    writeFileSync(join(host.folder, `${module}.py`), `open('${host.folder}/ran', 'w')\n`)
  t.same(await dryParse(await found(host.pid)), { judged: true, fault: null })
  t.notOk(existsSync(join(host.folder, 'ran')))
})

await t.test('what cannot be seen is not judged', async (t) => {
  const host = await supervisord(t, {})
  const discovery = await found(host.pid)
  t.same(await dryParse({ ...discovery, supervisord: null }), { judged: false })
  t.same(await dryParse({ ...discovery, mainFile: null }), { judged: false })
})
