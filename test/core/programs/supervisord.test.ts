import { randomInt } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t from 'tap'
import { issuesOf, type WholeDefinition, withDefaults } from '../../../src/core/programs/definition.ts'
import { renderFile } from '../../../src/core/programs/render.ts'
import { Definition } from '../../../src/protocol/definition.ts'
import { rpcOf } from '../../fixtures/rpc.ts'
import { Supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'
import { definitions, numbered } from './definitions.ts'

const CASES = Number(process.env['PROGRAM_CASES'] ?? 100)
const FOLDERS = ['plain', 'a b', '100%', "it's;#é", 'x,"y"=[z]', '%(h)s', '👍\u00a0中']

/** What a process has got, as the kernel tells it. */
function gotten(pid: number) {
  const file = (name: string): string => readFileSync(`/proc/${pid}/${name}`, 'utf8')
  const strings = (name: string): string[] => file(name).split('\0').slice(0, -1)
  const stat = file('stat').slice(file('stat').lastIndexOf(')') + 2)
  const limit = (name: string): string | undefined =>
    new RegExp(`^${name} +(\\S+) +(\\S+)`, 'm').exec(file('limits'))?.[1]
  return {
    argv: strings('cmdline'),
    cwd: readlinkSync(`/proc/${pid}/cwd`),
    umask: /^Umask:\s+(\d+)/m.exec(file('status'))?.[1],
    environment: Object.fromEntries(
      strings('environ').map((entry) => [
        entry.slice(0, entry.indexOf('=')),
        entry.slice(entry.indexOf('=') + 1),
      ]),
    ),
    state: stat.slice(0, 1),
    nice: Number(stat.split(' ')[16]),
    data: limit('Max data size'),
    openFiles: limit('Max open files'),
  }
}

await t.test(
  'a process gets the very argv, folder, umask, environment and limits that were put',
  async (t) => {
    const seed = Number(process.env['PROGRAM_SEED'] ?? randomInt(2 ** 31))
    t.comment(`PROGRAM_SEED=${seed}`)
    const host = new Supervisord({ settings: { minfds: 4096 } })
    t.teardown(() => host.stop())
    const hold = join(host.folder, 'hold')
    // a shell that stops before it does anything leaves all as it was handed over
    writeFileSync(hold, 'kill -STOP $$\n')
    const directories = FOLDERS.map((name) => join(host.folder, name))
    for (const path of directories) mkdirSync(path)
    const place = { directories, logFolder: host.logDir, user: userInfo().username }
    const meant = fc
      .sample(definitions(`/bin/sh ${hold}`, place), { numRuns: CASES, seed })
      .map(({ definition, words }, index) => {
        const own = { ...definition, name: `p${index}-${definition.name}` }
        // two programs made at random may have chosen one file
        for (const key of ['stdoutLogfile', 'stderrLogfile'] as const)
          if (own[key]) own[key] = own[key].replace(/[^/]*$/, (name) => `${index}${name}`)
        return { definition: withDefaults(own, host.logDir) as WholeDefinition, words }
      })
      .filter(
        ({ definition }) => Definition.safeParse(definition).success && issuesOf(definition).length === 0,
      )
    t.ok(meant.length > CASES * 0.9, `${meant.length} of ${CASES} can be said`)
    for (const { definition } of meant)
      writeFileSync(join(host.programDir, `agent-${definition.name}.conf`), renderFile(definition))
    await host.start()
    const wanted = meant.reduce((sum, { definition }) => sum + definition.processes, 0)
    await until(
      () => {
        const children = host.children()
        return children.length === wanted && children.every((pid) => gotten(pid).state === 'T')
      },
      `${wanted} processes`,
      60_000,
    )
    const answer = await rpcOf(host.socket).call('supervisor.getAllProcessInfo')
    const infos = answer as { group: string; name: string; pid: number }[]
    const own = gotten(host.pid)
    const serverUrl = `unix://${host.socket}`
    for (const { definition, words } of meant)
      for (let index = 0; index < definition.processes; index++) {
        const number = (definition.numprocsStart ?? 0) + index
        const name = `${definition.name}_${String(number).padStart(2, '0')}`
        const info = infos.find((row) => row.group === definition.name && row.name === name)
        if (!info) throw new Error(`${name} is not there`)
        const environment = Object.entries(definition.environment ?? {}).map(([key, value]) => [
          key,
          numbered(value, number),
        ])
        const { limits = {}, serverurl = 'AUTO' } = definition
        const got = gotten(info.pid)
        const isSame = t.strictSame(
          got,
          {
            argv: ['/bin/sh', hold, ...words.map((word) => numbered(word, number))],
            cwd: definition.directory ?? host.folder,
            umask: definition.umask?.padStart(4, '0') ?? own.umask,
            environment: {
              ...own.environment,
              SUPERVISOR_ENABLED: '1',
              SUPERVISOR_SERVER_URL: serverurl === 'AUTO' ? serverUrl : serverurl,
              SUPERVISOR_PROCESS_NAME: name,
              SUPERVISOR_GROUP_NAME: definition.name,
              ...Object.fromEntries(environment),
            },
            state: 'T',
            nice: own.nice + (limits.nice ?? 0),
            data: limits.memoryBytes === undefined ? own.data : String(limits.memoryBytes),
            openFiles: limits.openFiles === undefined ? own.openFiles : String(limits.openFiles),
          },
          name,
        )
        if (!isSame) t.comment(renderFile(definition))
        const files = [
          definition.stdoutLogfile,
          definition.redirectStderr ? undefined : definition.stderrLogfile,
        ]
        for (const file of files) if (file) t.ok(existsSync(numbered(file, number)), `${name} writes ${file}`)
      }
  },
)

await t.test('what is refused as a harm is one', async (t) => {
  const host = new Supervisord({
    programs: {
      leak: { command: '/bin/date +%s', autostart: false },
      lost: { command: '/bin/cat', environment: 'URL=http://h:80/p?q=1,B=2', autostart: false },
      none: { command: '/bin/cat', numprocs: 0 },
      one: { command: '/bin/cat', numprocs: 12, process_name: 'w%%(process_num)d', autostart: false },
    },
  })
  t.teardown(() => host.stop())
  await host.start()
  const rpc = rpcOf(host.socket)
  const configs = (await rpc.call('supervisor.getAllConfigInfo')) as { group: string; command: string }[]
  const of = (group: string) => configs.filter((row) => row.group === group)
  t.match(of('leak')[0]?.command, /ENV_PATH/, 'a lone %s becomes all variables')
  t.equal(of('none').length, 0)
  const infos = (await rpc.call('supervisor.getAllProcessInfo')) as { group: string }[]
  t.equal(infos.filter(({ group }) => group === 'one').length, 1, 'one of 12 processes is left')
  for (const [key, value] of [
    ['priority', 2 ** 31],
    ['stdout_logfile_maxbytes', '2GB'],
  ] as const) {
    host.writeProgram('large', { command: '/bin/cat', autostart: false, [key]: value })
    await rpc.call('supervisor.reloadConfig')
    await t.rejects(rpc.call('supervisor.getAllConfigInfo'), `${key}: no answer about any program`)
  }
  host.writeProgram('large', { command: '/bin/cat', stdout_logfile: '/tmp/100%%.log' })
  await t.rejects(rpc.call('supervisor.reloadConfig'), 'a percent sign of a log file is expanded twice')
})
