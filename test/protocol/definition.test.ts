import t from 'tap'
import { Definition } from '../../src/protocol/definition.ts'
import { Program, ProgramRevision } from '../../src/protocol/program.ts'
import { PROGRAM_KEYS } from '../../src/protocol/program-key.ts'

/** Every key of `[program:x]` in supervisor 4.2 and 4.3, but the name of its processes, which is ours to choose. */
const KEYS = [
  ...'command directory user numprocs numprocs_start priority autostart autorestart startsecs startretries'.split(
    ' ',
  ),
  ...'exitcodes stopsignal stopwaitsecs stopasgroup killasgroup umask environment redirect_stderr serverurl'.split(
    ' ',
  ),
  ...['stdout', 'stderr'].flatMap((channel) =>
    ['logfile', 'logfile_maxbytes', 'logfile_backups', 'capture_maxbytes', 'events_enabled', 'syslog'].map(
      (key) => `${channel}_${key}`,
    ),
  ),
]

await t.test('a definition has a field for every key of supervisord', async (t) => {
  const made = Object.values(Definition.shape).flatMap((field) => PROGRAM_KEYS.get(field)?.ini ?? [])
  t.strictSame(made.toSorted(), KEYS.toSorted())
})

await t.test('what a record would drop in silence is refused', async (t) => {
  for (const field of ['environment', 'options']) {
    const given: unknown = JSON.parse(`{"name":"web","${field}":{"__proto__":"x"}}`)
    t.strictSame(Definition.safeParse(given).error?.issues[0]?.path, [field, '__proto__'])
  }
})

await t.test('a foreign program is shown under its own name', async (t) => {
  const program = {
    name: 'größe 1',
    source: 'foreign',
    file: '/etc/supervisor/conf.d/x.conf',
    revision: '0123456789abcdef',
    drift: false,
    definition: { name: 'größe 1', command: '/bin/cat', masked: true },
    processes: 1,
    running: 0,
    instances: [],
    warnings: [],
  }
  t.strictSame(Program.parse(program), program)
  const revision = {
    revision: program.revision,
    at: '2026-11-22T10:00:00.000Z',
    current: true,
    definition: program.definition,
  }
  t.strictSame(ProgramRevision.parse(revision), revision)
})
