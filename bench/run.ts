// Runs every bench, one after the other, and prints their tables: npm run bench [NAME ...]
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { say } from './lib/figures.ts'

const BENCHES = [
  'crash-latency',
  'status',
  'list',
  'control',
  'programs',
  'memory',
  'supervisord-cpu',
  'fan-out',
  'slow-consumers',
  'log-follow',
  'cronrun',
  'crontab',
  'bundles',
]

const wanted = process.argv.slice(2)
for (const name of BENCHES) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  say(`\n== ${name}`)
  process.stdout.write(`\n### ${name}\n\n`)
  const path = new URL(`${name}.ts`, import.meta.url).pathname
  const child = spawn(process.execPath, ['--import', 'tsx', path], { stdio: 'inherit' })
  const [code] = await once(child, 'exit')
  if (code !== 0) process.exitCode = 1
}
