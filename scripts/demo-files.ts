import {
  cpSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '..')
const LOCK = join(ROOT, '.dev/demo.lock')
const LONGEST_SOCKET = 99

/** Where everything of one demo lies. */
export interface DemoFiles {
  folder: string
  supervisorConfig: string
  agentConfig: string
  adminSocket: string
  tokenFile: string
  agentLog: string
  supervisorLog: string
}

/**
 * Takes the lock, so that there is one demo a checkout.
 * @returns the folder of a demo that was killed and could not clean up, if there was one
 * @throws when a demo is running
 */
export function takeLock(): { leftOver: string | null } {
  mkdirSync(join(ROOT, '.dev'), { recursive: true })
  for (let leftOver: string | null = null; ; ) {
    if (isFirst(leftOver)) return { leftOver }
    const lock = readLock()
    if (lock === null) continue
    const [pid, folder] = lock
    if (isDemo(Number(pid)))
      throw new Error(
        `a demo is running already (pid ${pid}): end it with Ctrl-C there, or with: kill ${pid}`,
      )
    leftOver = folder || null
    rmSync(LOCK, { force: true })
  }
}

/** Makes the lock, whole from its first moment. @returns whether there was none */
function isFirst(folder: string | null): boolean {
  const own = `${LOCK}.${process.pid}`
  writeFileSync(own, lockText(folder))
  try {
    linkSync(own, LOCK)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  } finally {
    rmSync(own)
  }
}

/** Names in the lock what is to be cleared up should this demo be killed. */
function noteFolder(folder: string): void {
  const own = `${LOCK}.${process.pid}`
  writeFileSync(own, lockText(folder))
  renameSync(own, LOCK)
}

function lockText(folder: string | null): string {
  return `${process.pid}\n${folder ?? ''}\n`
}

/** Its lines; null when it went meanwhile. */
function readLock(): string[] | null {
  try {
    return readFileSync(LOCK, 'utf8').split('\n')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

export function releaseLock(): void {
  rmSync(LOCK, { force: true })
}

function isDemo(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('demo-run')
  } catch {
    return false
  }
}

/** Writes the configuration of supervisord and agent into a fresh folder. */
export function layOut(): DemoFiles {
  const folder = freshFolder()
  noteFolder(folder)
  const at = (...names: string[]) => join(folder, ...names)
  for (const name of ['conf.d', 'log', 'work']) mkdirSync(at(name))
  cpSync(join(ROOT, 'scripts/demo-workers'), at('workers'), { recursive: true })
  writeFileSync(at('supervisord.conf'), supervisorText(folder))
  for (const [name, text] of Object.entries(PROGRAMS)) writeFileSync(at('conf.d', `${name}.conf`), text)
  writeFileSync(
    at('agent.yaml'),
    [
      'name: demo',
      `stateDir: ${JSON.stringify(at('state'))}`,
      `spoolDir: ${JSON.stringify(at('spool'))}`,
      `tokensFile: ${JSON.stringify(at('tokens.json'))}`,
      `supervisor: { url: ${JSON.stringify(`unix://${at('supervisor.sock')}`)} }`,
      `listen: { runDir: ${JSON.stringify(at('run'))}, port: 0 }`,
      `policy: { logDirectories: [${JSON.stringify(at('log'))}] }`,
      '',
    ].join('\n'),
    { mode: 0o600 },
  )
  return {
    folder,
    supervisorConfig: at('supervisord.conf'),
    agentConfig: at('agent.yaml'),
    adminSocket: at('run', 'admin.sock'),
    tokenFile: at('token'),
    agentLog: at('log', 'agent.log'),
    supervisorLog: at('log', 'supervisord.log'),
  }
}

/** `.dev/demo`, or a folder in the temporary one where that is too deep for sockets or unfit for a config. */
function freshFolder(): string {
  const usual = join(ROOT, '.dev/demo')
  const isFit =
    Buffer.byteLength(join(usual, 'run/listener.sock')) <= LONGEST_SOCKET && /^[\w./+@-]+$/.test(usual)
  if (!isFit) return mkdtempSync(join(tmpdir(), 'agent-demo-'))
  rmSync(usual, { recursive: true, force: true, maxRetries: 5 })
  mkdirSync(usual)
  return usual
}

function supervisorText(folder: string): string {
  return `[unix_http_server]
file=${folder}/supervisor.sock
chmod=0700

[supervisord]
logfile=${folder}/log/supervisord.log
pidfile=${folder}/supervisord.pid
childlogdir=${folder}/log
nodaemon=true

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://${folder}/supervisor.sock

[include]
files=conf.d/*.conf
`
}

const LOGS = `directory=%(here)s/../work
stdout_logfile=%(here)s/../log/%(program_name)s-%(process_num)d.log
stderr_logfile=%(here)s/../log/%(program_name)s-%(process_num)d.err
`

const PROGRAMS = {
  worker: `[program:worker]
command=%(here)s/../workers/queue-worker --sleep=3 --tries=3 --max-time=30
process_name=%(program_name)s_%(process_num)02d
numprocs=2
autorestart=true
stopwaitsecs=60
${LOGS}`,
  flaky: `[program:flaky]
command=%(here)s/../workers/flaky runs
autorestart=true
${LOGS}`,
  broken: `[program:broken]
command=%(here)s/../workers/broken
startretries=2
${LOGS}`,
  chatty: `[program:chatty]
command=%(here)s/../workers/chatty
stdout_logfile_maxbytes=1MB
stdout_logfile_backups=3
${LOGS}`,
  'slow-stop': `[program:slow-stop]
command=%(here)s/../workers/slow-stop
stopwaitsecs=15
${LOGS}`,
  shop: `[group:shop]
programs=api,search

[program:api]
command=%(here)s/../workers/web api
${LOGS}
[program:search]
command=%(here)s/../workers/web search
${LOGS}`,
}
