// What a plan says of a program that nothing forbids and that would still surprise: one row for each.
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { PresetBook } from '../../../src/core/programs/presets/book.ts'
import { PRESETS } from '../../../src/core/programs/presets/index.ts'
import type { Definition } from '../../../src/protocol/definition.ts'
import { programHost } from './host.ts'

const isRoot = process.getuid?.() === 0
/** Somebody who is not supervisord's own user, where that can be had. */
const user = isRoot ? 'daemon' : userInfo().username

interface Row {
  it: string
  given: Partial<Definition>
  /** Where a plan says it: what may be, what may not, what the policy of the host denies. */
  says: { warning?: RegExp; error?: [path: string, message: RegExp]; denied?: RegExp }
}

await t.test('all that is warned of', async (t) => {
  const { prepare, host, stack } = await programHost(t, {
    listener: false,
    presets: new PresetBook(PRESETS),
    settings: { minfds: 200 },
    programs: { taken: { command: '/bin/sleep 300', startsecs: 0 } },
    policy: { users: [user], allowRoot: true },
  })
  await stack.waitState('taken', 'RUNNING')
  const app = join(host.folder, 'app')
  const open = join(host.logDir, 'open')
  for (const folder of [app, open]) mkdirSync(folder)
  chmodSync(open, 0o777)
  writeFileSync(join(app, 'work'), '')
  const worker = '/bin/cat artisan queue:work'
  const rows: Row[] = [
    {
      it: 'a job may take longer than a stop waits',
      given: { command: `${worker} --timeout=90`, stopWaitSecs: 90 },
      says: { warning: /^timeout \(90\) is not below stopWaitSecs \(90\): a stop kills a job/ },
    },
    {
      it: 'the same with the defaults of both',
      given: { command: worker },
      says: { warning: /^timeout \(60\) is not below stopWaitSecs \(10\)/ },
    },
    {
      it: 'the same from a preset, said once',
      given: {
        preset: 'laravel-queue',
        options: { php: '/bin/cat', timeout: 300 },
        stopWaitSecs: 20,
        directory: app,
      },
      says: { warning: /^timeout \(300\) is not below stopWaitSecs \(20\)/ },
    },
    {
      it: 'a relative executable',
      given: { command: 'bin/cat' },
      says: { error: ['command', /sought from the folder of supervisord: write the full path/] },
    },
    {
      it: 'no artisan',
      given: { command: `${worker} --timeout=5`, directory: app },
      says: { warning: /^there is no \S+\/app\/artisan yet: it will not come up before there is/ },
    },
    {
      it: 'a log folder that is missing',
      given: { stdoutLogfile: join(host.logDir, 'none/a.log') },
      says: { error: ['stdoutLogfile', /no folder \S+\/none/], denied: /\/none cannot be judged \(ENOENT\)/ },
    },
    {
      it: 'a log folder that others may write',
      given: { stdoutLogfile: join(open, 'a.log') },
      says: {
        denied:
          /supervisord opens logs as root, and \S+\/open .*policy\.allowUserLogDirectories.*As root: chmod go-w/,
      },
    },
    {
      it: 'a log in the folder of the application',
      given: { stdoutLogfile: join(app, 'a.log') },
      says: {
        denied:
          /app lies in none of the roots.*chooses what root writes to.*sets policy\.allowUserLogDirectories/,
      },
    },
    {
      it: 'a name that another file has',
      given: { name: 'taken' },
      says: {
        error: ['name', /is in \S+taken\.conf, which others wrote: take it over with agent program adopt/],
      },
    },
    {
      it: 'more processes than descriptors',
      given: { processes: 60 },
      says: {
        warning:
          /^all programs together need about \d+ file descriptors, and \[supervisord\] minfds asks for 200/,
      },
    },
  ]
  for (const { it, given, says } of rows) {
    const definition = { name: 'web', ...(given.preset ? {} : { command: '/bin/cat' }), ...given }
    const made = await prepare({ action: 'put', definition }).catch(
      ({ facts }: { facts: { issues: { path: string; message: string }[] } }) => ({
        warnings: [],
        issues: facts.issues,
        judged: null,
      }),
    )
    const { warnings, issues, judged } = made
    const { warning, error, denied } = says
    t.equal(
      warnings.filter((text) => warning?.test(text)).length,
      warning ? 1 : 0,
      `${it}: ${warnings.join()}`,
    )
    if (error) t.match(issues, [{ path: error[0], message: error[1] }], it)
    else t.same(issues, [], it)
    if (denied) t.match(judged?.violations.map(({ text }) => text).join('\n'), denied, it)
  }
  t.same((await prepare({ action: 'put', definition: { name: 'web', command: '/bin/cat' } })).warnings, [])
})

await t.test('a log that its user may move is told where a host allows it', async (t) => {
  const { prepare, host } = await programHost(t, {
    listener: false,
    policy: { users: [user], allowRoot: true, allowUserLogDirectories: true },
  })
  const folder = join(host.logDir, 'own')
  mkdirSync(folder)
  if (isRoot) chownSync(folder, 1, 1)
  const definition = { name: 'web', command: '/bin/cat', user, stdoutLogfile: join(folder, 'a.log') }
  const { warnings, judged } = await prepare({ action: 'put', definition })
  t.same(judged?.violations, [])
  // who runs supervisord itself can move its logs anyhow
  if (isRoot)
    t.match(warnings, [
      /own can be written by daemon, who thereby chooses what supervisord writes to as root: allowed here/,
    ])
})
