import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  closeSync,
  linkSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openLogFile } from '../../../src/core/logs/open.ts'
import { until } from '../../fixtures/wait.ts'
import { logsIn, openFilesIn, Reading } from './support.ts'

await t.test('a log path is opened only when it is a regular file of one name', async (t) => {
  const { folder, path: secret, logs } = logsIn(t)
  writeFileSync(secret, 'secret\n')
  writeFileSync(join(folder, 'linked'), 'two names\n')
  linkSync(join(folder, 'linked'), join(folder, 'hard'))
  symlinkSync(secret, join(folder, 'soft'))
  symlinkSync('/dev', join(folder, 'devices'))
  execFileSync('mkfifo', [join(folder, 'pipe')])
  mkdirSync(join(folder, 'folder'))

  const refusals = [
    { it: 'an empty path', path: '', reason: 'no-file' },
    { it: 'NONE', path: 'NONE', reason: 'no-file' },
    { it: 'none', path: 'none', reason: 'no-file' },
    { it: 'syslog', path: 'syslog', reason: 'no-file' },
    { it: 'AUTO', path: 'AUTO', reason: 'no-file' },
    { it: 'a relative path', path: 'web.log', reason: 'invalid-path' },
    { it: 'a NUL in the path', path: '/tmp/a\0b', reason: 'invalid-path' },
    { it: '/dev/stdout', path: '/dev/stdout', reason: 'device' },
    { it: '/dev by a detour', path: '/tmp/../dev/stdout', reason: 'device' },
    { it: '/dev by a linked folder', path: join(folder, 'devices/null'), reason: 'device' },
    { it: '/proc', path: '/proc/self/environ', reason: 'device' },
    { it: '/sys', path: '/sys/kernel/uevent_seqnum', reason: 'device' },
    { it: 'a symbolic link', path: join(folder, 'soft'), reason: 'symbolic-link' },
    { it: 'a hard link', path: join(folder, 'hard'), reason: 'hard-link' },
    { it: 'a FIFO', path: join(folder, 'pipe'), reason: 'not-regular' },
    { it: 'a folder', path: join(folder, 'folder'), reason: 'not-regular' },
    { it: 'a file that is not there', path: join(folder, 'later'), reason: 'not-there-yet' },
  ]
  for (const { it, path, reason } of refusals)
    await t.test(`refuses ${it}`, async (t) => {
      const expected = { code: 'LOG_UNAVAILABLE', facts: { reason } }
      t.throws(() => closeSync(openLogFile(path).fd), expected)
      await t.rejects(logs.tail(path), expected)
      t.throws(() => logs.clear(path), expected)
      t.equal(logs.lastLines(path, 1000, 10), null)
      if (reason === 'not-there-yet') return
      const reading = new Reading(logs, path)
      await reading.done
      t.match(reading.failure, expected)
    })
  t.same(openFilesIn(folder), [], 'no refusal leaves a file open')
  t.equal(logs.stats().files, 0)
  t.equal(readFileSync(secret, 'utf8'), 'secret\n')

  await t.test('messages say what to set', async (t) => {
    t.throws(() => openLogFile('/dev/stdout'), /stdout_logfile/)
    t.throws(() => openLogFile(''), /redirect_stderr/)
  })
})

await t.test('a folder above may be a link, as /var/run is', async (t) => {
  const { folder, logs } = logsIn(t)
  mkdirSync(join(folder, 'real'))
  symlinkSync(join(folder, 'real'), join(folder, 'run'))
  writeFileSync(join(folder, 'real/web.log'), 'line\n')
  t.equal((await logs.tail(join(folder, 'run/web.log'))).text, 'line\n')
})

await t.test('clear empties the file, also under the eyes of a follower', async (t) => {
  const { path, logs } = logsIn(t)
  writeFileSync(path, 'a\nb\n')
  const reading = new Reading(logs, path)
  await until(() => reading.text === 'a\nb\n')
  logs.clear(path)
  t.equal(readFileSync(path, 'utf8'), '')
  appendFileSync(path, 'more than there was\n')
  await until(() => reading.text.endsWith('was\n'))
  t.equal(reading.text, 'a\nb\nmore than there was\n')
  t.same(reading.gaps, [0], 'nothing is known to be lost, but the follower is told')
})
