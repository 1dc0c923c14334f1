import { renameSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { parts } from './support.ts'

const LOGS = 16
const LOG_BYTES = 40_000
const HIGH = 50_000

await t.test('many logs at once stay under the high mark, but for the piece that passes it', async (t) => {
  const command = `sh -c "head -c ${LOG_BYTES} /dev/zero | tr '\\\\000' x; echo; exec sleep 60"`
  const programs = Object.fromEntries(
    Array.from({ length: LOGS }, (_, index) => [`p${index}`, { command, startsecs: 0 }]),
  )
  const host = await supervisord(t, { programs })
  const { open } = await parts(t, {
    url: host.url,
    limits: { highWaterBytes: HIGH, lowWaterBytes: 1000 },
  })
  const peer = open()
  const tails = Array.from({ length: LOGS }, (_, index) => `p${index}`)
  await until(async () => {
    for (const process of tails) {
      const { result } = await peer.call('log.tail', { process, bytes: 1 })
      if (result?.['text'] !== '\n') return false
    }
    return true
  }, 'all logs to be written')
  peer.isStuck = true
  await peer.call('log.follow', { select: tails })
  let most = 0
  await until(() => {
    most = Math.max(most, peer.unread)
    if (peer.unread > HIGH) peer.gulp()
    return new Set(peer.notes('log').flatMap(({ process, text }) => (text ? [process] : []))).size === LOGS
  }, 'the beginning of every log')
  t.ok(most < HIGH + LOG_BYTES + 1000, `${most} bytes waited`)
})

await t.test('a stream whose logs have all ended takes no place any more', async (t) => {
  const host = await supervisord(t, { programs: { web: { command: 'sleep 60' } } })
  const { open } = await parts(t, { url: host.url, limits: { logStreams: 1 } })
  const peer = open()
  const log = join(host.logDir, 'web.out')
  await until(async () => (await peer.call('log.tail', { process: 'web' })).result, 'the log')
  renameSync(log, `${log}.real`)
  symlinkSync(`${log}.real`, log)
  for (const round of [1, 2]) {
    t.match(await peer.call('log.follow', { select: ['web'] }), { result: { subscription: `l${round}` } })
    await until(() => peer.notes('log').filter(({ ended }) => ended).length === round, 'its end')
  }
})
