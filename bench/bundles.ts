/**
 * Why the agent is several files: time of `agent status` and memory of the daemon, as built and as one bundle of the same
 * sources. Run: npx tsx bench/bundles.ts
 */
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { printTable, say, spread, timed } from './lib/figures.ts'
import {
  atEnd,
  type BenchAgent,
  bench,
  copyBundle,
  memoryOf,
  sleepers,
  startAgent,
  startSupervisord,
} from './lib/host.ts'

const run = promisify(execFile)
const ROOT = resolve(import.meta.dirname, '..')
const ROUNDS = 31
const DAEMONS = 3
const PROCESSES = 10
const SETTLE_MS = 20_000

await bench(async () => {
  const built = await copyBundle()
  const one = await buildOne()
  const supervisor = await startSupervisord({ programs: sleepers(PROCESSES) })
  const { adminSocket } = await startAgent({ supervisor, script: built })
  const status = (script: string) =>
    timed(() => run(process.execPath, [script, '--socket', adminSocket, 'status']))
  const help = (script: string) => timed(() => run(process.execPath, [script, '--help']))
  const times = {
    one: [] as number[],
    built: [] as number[],
    helpOne: [] as number[],
    helpBuilt: [] as number[],
  }
  for (let round = 0; round < ROUNDS; round++) {
    times.one.push(await status(one))
    times.built.push(await status(built))
    times.helpOne.push(await help(one))
    times.helpBuilt.push(await help(built))
  }
  say('daemons side by side')
  const agents: { script: string; agent: BenchAgent }[] = []
  for (let i = 0; i < DAEMONS; i++)
    for (const script of [one, built]) {
      const agent = await startAgent({ supervisor, script, listener: false })
      agents.push({ script, agent })
    }
  await setTimeout(SETTLE_MS)
  const memory = (wanted: string) =>
    agents.filter(({ script }) => script === wanted).map(({ agent }) => memoryOf(agent.pid).rss)
  const size = (script: string) => `${(statSync(script).size / 1000).toFixed(0)} kB`
  printTable(
    ['', 'one bundle', 'as built'],
    [
      ['file that node loads first', size(one), size(built)],
      ['`agent status`, ms', spread(times.one), spread(times.built)],
      ['`agent --help`, ms', spread(times.helpOne), spread(times.helpBuilt)],
      [
        `daemon of ${PROCESSES} processes after ${SETTLE_MS / 1000} s, VmRSS MB (10^6)`,
        spread(memory(one), 1),
        spread(memory(built), 1),
      ],
    ],
  )
})

/** As scripts/build.ts does it, with everything in one file. */
async function buildOne(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-one-'))
  atEnd(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(join(dirname(await copyBundle()), 'assets'), join(folder, 'assets'), { recursive: true })
  await build({
    absWorkingDir: ROOT,
    entryPoints: { agent: 'src/main.ts' },
    outdir: folder,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    minify: true,
    logLevel: 'warning',
    platform: 'node',
    format: 'cjs',
    target: 'node20.19',
    supported: { 'dynamic-import': false },
    inject: ['src/core/host/utc-format.ts'],
    define: {
      AGENT_VERSION: '"0"',
      'Intl.DateTimeFormat': 'UtcFormat',
      'import.meta.dirname': '__dirname',
      'import.meta.url': 'BUNDLE_URL',
    },
    banner: { js: "const BUNDLE_URL = require('node:url').pathToFileURL(__filename).href" },
  })
  return join(folder, 'agent.cjs')
}
