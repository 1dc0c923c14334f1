import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import * as fc from 'fast-check'
import t from 'tap'
import { issuesOf, withDefaults } from '../../../src/core/programs/definition.ts'
import { IniDocument } from '../../../src/core/programs/ini/document.ts'
import { readSection } from '../../../src/core/programs/read.ts'
import { headOf, renderFile, revisionOf } from '../../../src/core/programs/render.ts'
import { Definition } from '../../../src/protocol/definition.ts'
import { type ParsedProcess, SupervisorParser } from '../../fixtures/supervisor-parser.ts'
import { definitions, numbered } from './definitions.ts'

const CASES = Number(process.env['PROGRAM_CASES'] ?? 300)
const MAIN = `[supervisord]
[include]
files=conf.d/*.conf
`

const parser = new SupervisorParser(t)

await t.test('supervisord reads what was meant, and so do we', async (t) => {
  const place = { directories: ['/srv/a b', '/srv/100%', "/srv/it's;#é"], logFolder: '/var/log/x' }
  let refused = 0
  await fc.assert(
    fc.asyncProperty(definitions('/bin/cat', place), async ({ definition, words }) => {
      const whole = withDefaults(definition, place.logFolder)
      if (!Definition.safeParse(whole).success || issuesOf(whole).length > 0) {
        refused++
        return
      }
      const text = renderFile(whole)
      const [section] = IniDocument.parse(text).sections()
      if (!section) throw new Error('no section')
      deepStrictEqual(readSection(section), { definition: whole, notes: [] })
      deepStrictEqual(headOf(text), { name: whole.name, revision: revisionOf(text) })
      const parsed = await parser.parse({ files: { '/etc/s.conf': MAIN, '/etc/conf.d/agent-x.conf': text } })
      if (parsed.fault !== null) throw new Error(`${parsed.fault}\n${text}`)
      const start = whole.numprocsStart ?? 0
      equal(parsed.processes.length, whole.processes)
      for (const [index, process] of parsed.processes.entries()) {
        const number = start + index
        const name = `${whole.name}_${String(number).padStart(2, '0')}`
        const found: ParsedProcess | undefined = parsed.processes.find((other) => other.name === name)
        ok(found, name)
        equal(process.group, whole.name)
        deepStrictEqual(found?.argv?.slice(-words.length - 1), [
          '/bin/cat',
          ...words.map((word) => numbered(word, number)),
        ])
        equal(process.directory, whole.directory ?? null)
        equal(process.umask, whole.umask === undefined ? null : Number.parseInt(whole.umask, 8))
        const environment = Object.entries(whole.environment ?? {})
        deepStrictEqual(
          found?.environment,
          Object.fromEntries(environment.map(([key, value]) => [key, numbered(value, number)])),
        )
        equal(found?.stdoutLogfile, numbered(whole.stdoutLogfile ?? '', number))
        const config = {
          priority: whole.priority ?? 999,
          startsecs: whole.startSecs ?? 1,
          exitcodes: whole.exitCodes ?? [0],
          autorestart: whole.autorestart ?? 'unexpected',
          stdout_logfile_maxbytes: whole.stdoutLogfileMaxBytes ?? 50 * 2 ** 20,
          stderr_logfile_backups: whole.stderrLogfileBackups ?? 10,
          serverurl: whole.serverurl === 'AUTO' ? null : (whole.serverurl ?? null),
        }
        deepStrictEqual({ ...found?.config, ...config }, found?.config)
      }
    }),
    { numRuns: CASES },
  )
  t.comment(`${refused} of ${CASES} were refused`)
  t.ok(refused < CASES / 4, 'most of what is made can be said')
})
