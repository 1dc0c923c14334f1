// `agent status` without commander, zod or yaml: most of the time of a short command is loading code.
import { accessSync, constants, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { AgentError, toWireError } from '../protocol/errors.ts'
import { ageRemark, renderStatus, type StatusList, statusExit } from './status-table.ts'
import { forReader, harmless } from './text.ts'

const CONFIG = '/etc/supervisor-agent/config.yaml'
export const RUN_DIR = '/run/supervisor-agent'
const DEADLINE_MS = 10_000
/** Another folder than the usual one, in whichever way of YAML. */
const NAMES_RUN_DIR = /\brunDir['"]?\s*:(?!\s*['"]?\/run\/supervisor-agent['"]?\s*(?:[#,}]|$))/m

/** The local socket to use: the administrator's where it may be opened. */
export function localSocket(runDir: string): string {
  const admin = `${runDir}/admin.sock`
  try {
    accessSync(admin, constants.R_OK | constants.W_OK)
    return admin
  } catch {
    return `${runDir}/agent.sock`
  }
}

interface Wish {
  select: string[]
  isJson: boolean
  socket: string | null
}

/** Takes the call when it is a plain `status`. @returns false to leave it to the full command line */
export function fastStatus(argv: readonly string[]): boolean {
  const wish = plainStatus(argv)
  if (!wish || (wish.socket === null && movesRunDir())) return false
  const path = wish.socket ?? localSocket(RUN_DIR)
  const socket = connect(path)
  const params = wish.select.length > 0 ? { select: wish.select } : {}
  let text = ''
  let isDone = false
  const fail = (what: string) => {
    if (isDone) return
    isDone = true
    finish({ error: toWireError(new AgentError('SUPERVISOR_UNREACHABLE', what)) }, wish.isJson)
    socket.destroy()
  }
  socket.setTimeout(DEADLINE_MS, () =>
    socket.destroy(
      new Error(`the agent gave no answer within ${DEADLINE_MS / 1000} s: it is stopped or overloaded`),
    ),
  )
  socket.setEncoding('utf8')
  socket.on('connect', () => {
    socket.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'process.list', params })}\n`)
  })
  socket.on('data', (chunk: string) => {
    text += chunk
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      const line = text.slice(0, end)
      text = text.slice(end + 1)
      const answer = answerOf(line)
      if (!answer) return fail(`${path}: what answers there is not the agent`)
      if (answer.id !== 1) continue
      isDone = true
      socket.destroy()
      return finish(answer, wish.isJson)
    }
  })
  socket.on('error', (error: NodeJS.ErrnoException) => fail(unreachableText(path, error)))
  socket.on('close', () => {
    fail(noAnswerText(path))
  })
  return true
}

interface Answer {
  id?: unknown
  result?: StatusList
  error?: { message: string; data?: { name?: string } }
}

function answerOf(line: string): Answer | null {
  try {
    const answer: unknown = JSON.parse(line)
    return typeof answer === 'object' ? answer : null
  } catch {
    return null
  }
}

function say(text: string): void {
  process.stderr.write(`agent: ${harmless(text)}\n`)
}

function finish({ result, error }: Answer, isJson: boolean): void {
  if (!result) {
    if (isJson) process.stdout.write(`${JSON.stringify({ error })}\n`)
    say(error?.message ?? 'no answer')
    process.exitCode = error?.data?.name === 'INVALID_PARAMS' ? 2 : 4
    return
  }
  process.exitCode = statusExit(result)
  process.stdout.write(isJson ? `${JSON.stringify(result)}\n` : forReader(renderStatus(result)))
  const remark = ageRemark(result)
  if (!isJson && remark !== null) say(remark)
}

/** Why the local socket cannot be used, and what to do. */
export function unreachableText(path: string, { code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT' || code === 'ECONNREFUSED')
    return `no agent answers on ${path}: systemctl status supervisor-agent, or agent daemon in the foreground`
  if (code === 'EACCES')
    return `no permission to open ${path}: become root, or join the group supervisor-agent`
  if (code === 'EPIPE' || code === 'ECONNRESET') return noAnswerText(path)
  return `${path}: ${message}`
}

function noAnswerText(path: string): string {
  return `${path}: the agent closed the connection without an answer`
}

function plainStatus(argv: readonly string[]): Wish | null {
  const [command, ...rest] = argv
  const wish: Wish = { select: [], isJson: false, socket: null }
  let words = rest
  if (command === '--socket' && rest[1] === 'status') {
    wish.socket = rest[0] ?? null
    words = rest.slice(2)
  } else if (command !== 'status') return null
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? ''
    if (word === '--json') wish.isJson = true
    else if (word === '--socket' && words[i + 1]) wish.socket = words[++i] ?? null
    else if (word.startsWith('-')) return null
    else wish.select.push(word)
  }
  return wish
}

/** True when the config puts the sockets elsewhere; reading it whole is the full command line's work. */
export function movesRunDir(): boolean {
  try {
    return NAMES_RUN_DIR.test(readFileSync(CONFIG, 'utf8'))
  } catch {
    return false // not there, or not ours to read: the usual place
  }
}
