import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type AgentClient, connect, type LogChunk } from '../../src/client/index.ts'
import { startAgent } from '../fixtures/daemon.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { proxy } from './proxy.ts'

interface Scope {
  teardown(task: () => unknown): void
}

const supervisor = await supervisord(t, {
  programs: {
    web: { command: 'sleep 600', startsecs: 0 },
    other: { command: 'sleep 600', startsecs: 0 },
    bare: { command: 'sleep 600', startsecs: 0, stdout_logfile: 'NONE' },
  },
})
const agent = await startAgent(t, { supervisor })
const token = await agent.token('viewer')

async function client(scope: Scope, url = agent.url): Promise<AgentClient> {
  const opened = await connect({ url, token, reconnect: { minMs: 1, maxMs: 20 } })
  scope.teardown(() => opened.close())
  return opened
}

function reading(feed: AsyncIterable<LogChunk>): {
  chunks: LogChunk[]
  text: (process: string) => string
  ended: Promise<unknown>
} {
  const chunks: LogChunk[] = []
  const ended = (async () => {
    for await (const chunk of feed) chunks.push(chunk)
    return 'quietly'
  })().catch((error: unknown) => error)
  const text = (process: string): string =>
    chunks
      .filter((chunk) => chunk.process === process)
      .map((chunk) => chunk.text)
      .join('')
  return { chunks, text, ended }
}

const write = (file: string, text: string): void => appendFileSync(join(supervisor.logDir, file), text)

await t.test('a log is followed from its last lines on', async (t) => {
  write('web.out', 'one\ntwo\nthree\n')
  const opened = await client(t)
  const { chunks, text } = reading(opened.follow({ select: ['web'], lines: 2 }))
  await until(() => text('web') === 'two\nthree\n')
  write('web.out', 'four €\n')
  await until(() => text('web') === 'two\nthree\nfour €\n')
  t.match(chunks[0], { process: 'web', channel: 'stdout', cursor: /./ })
})

await t.test('no byte is lost or doubled when the connection is cut again and again', async (t) => {
  const cable = await proxy(t, () => agent.port)
  const opened = await client(t, cable.url)
  const { chunks, text } = reading(opened.follow({ select: ['web', 'other'], channel: 'both', lines: 1 }))
  write('other.out', 'begin\n')
  await until(() => text('web') !== '' && text('other') !== '')
  const start = chunks.find(({ process }) => process === 'web')
  let out = ''
  let err = ''
  for (let line = 0; line < 3_000; line++) {
    out += `${line} ünïcödé ${'x'.repeat(line % 300)}\n`
    err += `err ${line}\n`
    write('web.out', `${line} ünïcödé ${'x'.repeat(line % 300)}\n`)
    write('other.err', `err ${line}\n`)
    if (line % 300 === 150) {
      const before = chunks.length
      await until(() => chunks.length > before)
      cable.cut()
    }
  }
  t.ok(start)
  await until(
    () => text('web').endsWith(`2999 ünïcödé ${'x'.repeat(299)}\n`) && text('other').endsWith('err 2999\n'),
  )
  t.equal(text('web'), `${start?.text}${out}`)
  t.equal(text('other'), `begin\n${err}`)
  t.ok(cable.connections > 5, `${cable.connections} connections`)
  t.notOk(chunks.some(({ dropped }) => dropped))
})

await t.test('a log that was empty before the cut loses nothing', async (t) => {
  const cable = await proxy(t, () => agent.port)
  const opened = await client(t, cable.url)
  const { text } = reading(opened.follow({ select: ['web'], channel: 'stderr', lines: 3 }))
  await opened.call('agent.info', {})
  cable.isDown = true
  cable.cut()
  const lines = Array.from({ length: 50 }, (_, line) => `${line}\n`).join('')
  write('web.err', lines)
  cable.isDown = false
  await until(() => text('web') === lines)
})

await t.test('a slow consumer gets every byte in the end', async (t) => {
  const opened = await client(t)
  const feed = opened.follow({ select: ['web'], lines: 1 })
  const first = await feed.next()
  t.match(first.value?.text, /2999/)
  let wanted = ''
  for (let line = 0; line < 400; line++) wanted += `${line} ${'y'.repeat(200_000)}\n`
  write('web.out', wanted)
  let got = ''
  while (got.length < wanted.length) got += (await feed.next()).value?.text ?? ''
  t.ok(got === wanted, 'the same text')
  await feed.return?.()
})

await t.test('a log that is not there is an error, at once', async (t) => {
  const opened = await client(t)
  const { ended } = reading(opened.follow({ select: ['bare'] }))
  t.match(await ended, { name: 'AgentError', code: 'LOG_UNAVAILABLE' })
  const { ended: unknown } = reading(opened.follow({ select: ['nobody'] }))
  t.match(await unknown, { code: 'PROCESS_NOT_FOUND' })
})

await t.test('abort and close end it quietly', async (t) => {
  const opened = await client(t)
  const abort = new AbortController()
  const aborted = reading(opened.follow({ select: ['web'], signal: abort.signal }))
  const closed = reading(opened.follow({ select: ['web'] }))
  await until(() => aborted.chunks.length > 0 && closed.chunks.length > 0)
  abort.abort()
  t.equal(await aborted.ended, 'quietly')
  await opened.close()
  t.equal(await closed.ended, 'quietly')
})
