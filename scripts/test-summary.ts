// Runs tap and prints a line for each test file, every failure in full, and `N passed, N failed` at the end. Counted
// are the test points without points below them, and what fails as a whole (a timeout, a crash). The raw TAP is kept.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '..')
const RAW = resolve(ROOT, '.tap/suite.tap')

/** What is used of tap's own parser. */
interface Point {
  ok: boolean
  name: string
  skip: boolean | string
  todo: boolean | string
  diag: Record<string, unknown> | null
  time: number | null
}
interface Parser extends NodeJS.WritableStream {
  name: string
  on(event: 'child', listener: (child: Parser) => void): this
  on(event: 'assert', listener: (point: Point) => void): this
  on(event: 'bailout', listener: (reason: string) => void): this
}

interface Count {
  passed: number
  failed: number
  skipped: number
}

const require = createRequire(createRequire(import.meta.url).resolve('tap'))
const { Parser } = require('tap-parser') as { Parser: new () => Parser }

const total = count()
const failures: string[] = []

const exit = await runTap(process.argv.slice(2))
const ran = total.passed + total.failed
if (ran === 0) say('FAILED no test ran')
if (exit !== 0 && total.failed === 0) total.failed++
if (failures.length > 0) say(`\n${failures.length} failed:\n${failures.join('\n')}`)
say(words(total))
process.exitCode = exit === 0 && ran > 0 && total.failed === 0 ? 0 : 1

/** Runs tap on those files, or on all, and counts as it goes. @returns its exit status, 1 when a signal ended it */
async function runTap(files: readonly string[]): Promise<number> {
  mkdirSync(dirname(RAW), { recursive: true })
  const { TAP: _nested, ...env } = process.env
  const tap = spawn(resolve(ROOT, 'node_modules/.bin/tap'), ['--reporter=tap', ...files], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) process.on(signal, () => tap.kill(signal))
  const parser = watch(new Parser(), [], total, (point, file) => {
    const verdict = file.failed > 0 ? 'FAIL' : file.passed > 0 ? 'ok  ' : 'skip'
    const seconds = point.time === null ? '' : `, ${(point.time / 1000).toFixed(1)} s`
    const reason = typeof point.skip === 'string' ? `: ${point.skip}` : ''
    say(`${verdict} ${point.name} (${words(file)}${seconds})${reason}`)
  })
  const raw = createWriteStream(RAW)
  tap.stdout.on('data', (chunk: Buffer) => {
    raw.write(chunk)
    parser.write(chunk)
  })
  const [code] = (await once(tap, 'close')) as [number | null]
  parser.end()
  raw.end()
  return code ?? 1
}

/** Counts what a parser sees; `below` gets each point that has points below it, with their count. */
function watch(
  parser: Parser,
  path: readonly string[],
  sum: Count,
  below: (point: Point, counted: Count) => void = () => {},
): Parser {
  let inner: Count | null = null
  parser.on('child', (child) => {
    inner = count()
    watch(child, [...path, child.name], inner)
  })
  parser.on('assert', (point) => {
    const counted = inner ?? count()
    inner = null
    const points = counted.passed + counted.failed + counted.skipped
    if (point.skip || point.todo) {
      if (points === 0) counted.skipped++
    } else if (!point.ok && counted.failed === 0) {
      counted.failed++
      report([...path, point.name], point)
    } else if (points === 0) counted.passed++
    sum.passed += counted.passed
    sum.failed += counted.failed
    sum.skipped += counted.skipped
    below(point, counted)
  })
  parser.on('bailout', (reason) => {
    if (path.length > 0) return
    sum.failed++
    report(['bail out'], { ok: false, name: reason, skip: false, todo: false, diag: { reason }, time: null })
  })
  return parser
}

function report(path: readonly string[], { diag }: Point): void {
  // a file that did not end in time has its name in the diagnostics alone
  const { expired } = diag ?? {}
  const name = path.length === 1 && typeof expired === 'string' ? [expired, ...path] : path
  const { diff, at, stack, source, ...rest } = diag ?? {}
  const place = at as { fileName?: string; lineNumber?: number } | undefined
  const lines = [
    `FAILED ${name.join(' > ')}`,
    place?.fileName === undefined ? '' : `  at ${place.fileName}:${place.lineNumber ?? '?'}`,
    indent(source),
    indent(diff),
    Object.keys(rest).length > 0 ? indent(JSON.stringify(rest, null, 2)) : '',
    indent(stack),
  ]
  failures.push(`  ${name.join(' > ').slice(0, 200)}`)
  say(lines.filter((line) => line !== '').join('\n'))
}

function indent(text: unknown): string {
  if (typeof text !== 'string' || text.trim() === '') return ''
  return text.trimEnd().replaceAll(/^/gm, '    ')
}

function count(): Count {
  return { passed: 0, failed: 0, skipped: 0 }
}

function words({ passed, failed, skipped }: Count): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
