import { resolve } from 'node:path'
import { createContext, Script } from 'node:vm'
import { build } from 'esbuild'
import t from 'tap'
import { WebSocket } from 'ws'
import type * as Browser from '../../src/client/browser.ts'
import { startAgent } from '../fixtures/daemon.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { proxy } from './proxy.ts'

const ENTRY = resolve(import.meta.dirname, '../../src/client/browser.ts')

const supervisor = await supervisord(t, { programs: { web: { command: 'sleep 600', startsecs: 0 } } })
const agent = await startAgent(t, { supervisor })
const token = await agent.token('operator')

/** What a browser has and the bundle uses; nothing of Node. */
const BROWSER = {
  WebSocket,
  AbortController,
  AbortSignal,
  TextEncoder,
  URL,
  clearInterval,
  clearTimeout,
  crypto,
  performance,
  setInterval,
  setTimeout,
}

async function load(): Promise<{ client: typeof Browser; sizeBytes: number }> {
  const bundle = await build({
    entryPoints: [ENTRY],
    bundle: true,
    platform: 'browser',
    format: 'iife',
    globalName: 'client',
    minify: true,
    write: false,
    logLevel: 'silent',
  })
  const [file] = bundle.outputFiles
  const context = createContext({ ...BROWSER })
  new Script(file?.text ?? '').runInContext(context)
  return { client: context['client'] as typeof Browser, sizeBytes: file?.contents.length ?? 0 }
}

await t.test('the browser entry bundles as a module without anything of Node', async (t) => {
  const { metafile, warnings } = await build({
    entryPoints: [ENTRY],
    bundle: true,
    platform: 'browser',
    format: 'esm',
    write: false,
    metafile: true,
    logLevel: 'silent',
  })
  t.strictSame(warnings, [])
  t.strictSame(
    Object.values(metafile.outputs).flatMap(({ imports }) => imports),
    [],
  )
  const folders = Object.keys(metafile.inputs).map((path) =>
    path.replace(/^(src\/\w+|node_modules\/[^/]+).*/, '$1'),
  )
  t.strictSame([...new Set(folders)].toSorted(), [
    'node_modules/zod',
    'src/client',
    'src/lib',
    'src/protocol',
  ])
})

await t.test('the bundle drives a real agent with the WebSocket of a browser', async (t) => {
  const { client, sizeBytes } = await load()
  t.ok(sizeBytes < 200_000, `${sizeBytes} bytes`)
  const cable = await proxy(t, () => agent.port)
  const opened = await client.connect({ url: cable.url, token, reconnect: { minMs: 1, maxMs: 10 } })
  t.teardown(() => opened.close())
  t.match(opened.hello, { agent: 'test-host', scopes: ['read', 'logs', 'control'] })
  const feed = opened.events({ programs: ['web'] })
  t.match((await feed.next()).value, { kind: 'snapshot', processes: [{ name: 'web' }] })
  t.match(await opened.call('process.restart', { select: ['web'] }), {
    results: [{ ok: true, changed: true }],
  })
  t.match((await feed.next()).value, { kind: 'event', type: 'process.state', actor: 'token:operator-1' })
  const error = await opened.call('process.list', { select: ['nobody'] }).catch((reason: unknown) => reason)
  t.ok(error instanceof client.AgentError)
  t.match(error, { code: 'PROCESS_NOT_FOUND' })
  cable.cut()
  await until(() => cable.connections === 2 && opened.state === 'connected')
  t.match(await opened.call('process.list', {}), { processes: [{ name: 'web' }] })
  await opened.close()
  t.equal((await feed.return?.())?.done, true)
})

await t.test('a refusal is told as far as a browser knows', async (t) => {
  const { client } = await load()
  await t.rejects(client.connect({ url: agent.url, token: 'wrong' }), {
    name: 'ConnectionError',
    failure: 'unreachable',
    message: /a browser does not tell which/,
  })
})

await t.test('a silent peer is found without pings', async (t) => {
  const { client } = await load()
  const cable = await proxy(t, () => agent.port)
  const opened = await client.connect({
    url: cable.url,
    token,
    deadMs: 300,
    reconnect: { minMs: 1, maxMs: 10 },
  })
  t.teardown(() => opened.close())
  const states: string[] = []
  opened.onState((state) => states.push(state))
  cable.freeze()
  await until(() => states.length >= 2)
  t.strictSame(states.slice(0, 2), ['reconnecting', 'connected'])
})
