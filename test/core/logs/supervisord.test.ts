import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { LogService } from '../../../src/core/logs/service.ts'
import { supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'
import { Reading } from './support.ts'

/** Writes numbered 100-byte lines at about 1 MB/s for three seconds, then the word END. */
const WRITER = `
import sys, time
began = time.monotonic()
n = 0
while time.monotonic() - began < 3:
    sys.stdout.write('%08d %s\\n' % (n, 'x' * 90))
    n += 1
    if n % 20 == 0:
        sys.stdout.flush()
        late = began + n * 100 / 1e6 - time.monotonic()
        if late > 0: time.sleep(late)
sys.stdout.write('END %d\\n' % n)
sys.stdout.flush()
time.sleep(600)
`

const writer = (
  folder: string,
  settings: Record<string, string | number>,
): Record<string, string | number | boolean> => ({
  command: `python3 ${join(folder, 'writer.py')}`,
  autostart: false,
  ...settings,
})

await t.test('at 1 MB/s and 50 rotations a second not a line is lost or doubled', async (t) => {
  const host = await supervisord(t)
  const logs = new LogService()
  t.teardown(() => logs.stop())
  writeFileSync(join(host.folder, 'writer.py'), WRITER)
  host.writeProgram(
    'web',
    // what is kept is 0.8 s of it: so long may a busy host hold up the reader
    writer(host.folder, { stdout_logfile_maxbytes: '20KB', stdout_logfile_backups: 40 }),
  )
  const path = join(host.logDir, 'web.out')
  const readings = [new Reading(logs, path), new Reading(logs, { locate: () => path })]
  await host.ctl('update')
  await host.ctl('start', 'web')
  await until(() => readings.every((reading) => reading.text.includes('END')), 'the last line', 30_000)
  for (const reading of readings) {
    const lines = reading.text.trimEnd().split('\n')
    const count = Number(/^END (\d+)$/.exec(lines.pop() ?? '')?.[1])
    t.ok(count > 20_000, `${count} lines`)
    t.equal(lines.length, count)
    t.equal(
      lines.findIndex((line, n) => line !== `${String(n).padStart(8, '0')} ${'x'.repeat(90)}`),
      -1,
    )
    t.same(reading.gaps, [])
  }
  t.equal(logs.stats().descriptors, 1)
})

await t.test('with backups=0 what is destroyed is reported, and nothing is doubled', async (t) => {
  const host = await supervisord(t)
  const logs = new LogService()
  t.teardown(() => logs.stop())
  writeFileSync(join(host.folder, 'writer.py'), WRITER)
  host.writeProgram(
    'web',
    writer(host.folder, { stdout_logfile_maxbytes: '20KB', stdout_logfile_backups: 0 }),
  )
  const reading = new Reading(logs, join(host.logDir, 'web.out'))
  await host.ctl('update')
  await host.ctl('start', 'web')
  await until(() => reading.text.includes('END'), 'the last line', 30_000)

  const text = reading.chunks
    .map((chunk) => (chunk.dropped === undefined ? chunk.text : `\nGAP\n${chunk.text}`))
    .join('')
  let last = -1
  let isReported = false
  let unreported = 0
  for (const line of text.split('\n')) {
    const number = /^\d{8} x{90}$/.test(line) ? Number(line.slice(0, 8)) : null
    if (line === 'GAP') isReported = true
    if (number === null) continue
    if (number <= last) t.fail(`line ${number} came after line ${last}`)
    // what was destroyed before the file was first seen was never the follower's
    if (last >= 0 && number > last + 1 && !isReported) unreported++
    last = number
    isReported = false
  }
  t.ok(reading.gaps.length > 10, `${reading.gaps.length} gaps`)
  t.equal(unreported, 0, 'every gap is reported')
})

await t.test('clear is safe while the program writes', async (t) => {
  const host = await supervisord(t)
  const logs = new LogService()
  t.teardown(() => logs.stop())
  host.writeProgram('tick', { command: `sh -c 'while :; do echo tick; sleep 0.05; done'` })
  await host.ctl('update')
  const path = join(host.logDir, 'tick.out')
  await until(() => readFileSync(path, 'utf8').includes('tick'))
  const reading = new Reading(logs, path)
  await until(() => reading.text.split('tick').length > 5)
  const before = reading.chunks.length
  logs.clear(path)
  await until(() => reading.chunks.length > before + 3)
  t.match(reading.text, /^(tick\n)+$/)
  t.equal(reading.gaps.length, 1)
  t.match((await logs.tail(path)).text, /^(tick\n)+$/)
})

await t.test('an AUTO log is followed to its new name when supervisord starts anew', async (t) => {
  const host = await supervisord(t, {
    programs: { auto: { command: `sh -c 'echo "I am $$"; exec sleep 600'`, stdout_logfile: 'AUTO' } },
  })
  const logs = new LogService()
  t.teardown(() => logs.stop())
  const locate = (): string | null => {
    const name = readdirSync(host.logDir).find((file) => file.startsWith('auto-stdout---'))
    return name === undefined ? null : join(host.logDir, name)
  }
  const old = await until(locate)
  const reading = new Reading(logs, { locate })
  await until(() => /^I am \d+\n$/.test(reading.text))
  await host.ctl('reload')
  await until(() => /^I am \d+\nI am \d+\n$/.test(reading.text))
  t.not(locate(), old)
  t.equal(logs.stats().files, 1)
  t.equal(logs.stats().descriptors, 1)
})
