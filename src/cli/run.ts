import { Command, InvalidArgumentError } from 'commander'
import { METHODS, type MethodName, type ResultOf } from '../methods/index.ts'
import { AgentError } from '../protocol/errors.ts'
import { agentVersion } from '../version.ts'
import { addMethodCommands, addSetCommand, type CallMethod, commandAt, wholeNumber } from './args.ts'
import { completionScript } from './commands/completion.ts'
import { deadlineOf, type Globals, openClient } from './globals.ts'
import type { runOnHost } from './host-commands.ts'
import { madeWhole, withLateCommands } from './late-commands.ts'
import { isVersionMisplaced, withOwnFlags } from './own-flags.ts'
import { print } from './print.ts'
import { showProgress } from './progress.ts'
import { report, wantsJson } from './report.ts'
import { ageRemark, statusExit } from './status-table.ts'
import { harmless } from './text.ts'

const EXITS = `
Exit status: 0 ok, 1 failed, 2 wrong usage or config, 4 no agent or no right, 10 a plan that changes something,
11 denied by policy, 12 rolled back, 13 outcome unknown;
doctor: 0 nothing found, 1 something; status: 0 all RUNNING, 3 some not, 4 unknown or supervisord cannot be asked.`

/** Runs the command line. @returns the exit status */
export async function run(argv: readonly string[]): Promise<number> {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0) // the reader, head for example, has enough
    throw error
  })
  let status = 0
  const program = buildProgram(argv, (code) => {
    status = code
  })
  try {
    await program.parseAsync(withOwnFlags(argv), { from: 'user' })
    return status
  } catch (error) {
    return report(error, { isJson: wantsJson(argv) })
  }
}

/** The command line with all that its commands take, to be shown. */
export function wholeProgram(): Command {
  return madeWhole(buildProgram([], () => undefined))
}

/** The command line as commander knows it; `done` gets the exit status of what ran. */
function buildProgram(argv: readonly string[], done: (status: number) => void): Command {
  const version = agentVersion()
  const versionText = wantsJson(argv) ? JSON.stringify({ version }) : version
  const program = new Command('agent')
    .description('Drives supervisord on this host, or on another with --url.')
    .option('--config <file>', 'the config file')
    .option('--socket <path>', 'the socket of the agent')
    .option('--url <url>', 'a remote agent: wss://host:port/ws')
    .option('--token-file <file>', 'file that holds the token for --url')
    .option('--ca <file>', 'certificate that --url must show')
    .option('--json', 'print the result as JSON')
    .option('--timeout-ms <n>', 'longest wait for an answer, or for each process', deadline)
    .option('--no-color', 'no colour (NO_COLOR does the same)')
    .option('-q, --quiet', 'print no remarks')
    .exitOverride()
    .showHelpAfterError('(agent --help, or agent COMMAND --help)')
    .addHelpText('after', EXITS)
  if (!isVersionMisplaced(argv, program.options))
    program.version(versionText, '--version', 'print the version')
  program.configureHelp({ showGlobalOptions: false })
  withLateCommands(program)
  const globals = (): Globals => program.opts<Globals>()
  program.hook('preAction', () => {
    if (globals().color === false) process.env['NO_COLOR'] = '1'
  })

  const call: CallMethod = async (method, params) => done(await callMethod(method, params, globals()))
  addMethodCommands(program, call)
  addSetCommand(program, async (_method, given) =>
    (await import('./commands/cron-set.ts')).setEntry(given, { globals: globals(), call }),
  )

  const onHost = async (task: Parameters<typeof runOnHost>[0]) =>
    done(await (await import('./host-commands.ts')).runOnHost(task, globals()))

  program
    .command('logs <select...>')
    .description('Print the end of logs, or follow them.')
    .option('-f, --follow', 'go on as they grow, across rotation and restarts')
    .option('-n, --lines <n>', 'lines to begin with (100; 10 with -f)', wholeNumber)
    .option('--err', 'stderr')
    .option('--both', 'stdout and stderr')
    .option('--raw', 'control characters as they are, also on a terminal')
    .action(async (select: string[], options: object) =>
      done(await (await import('./commands/logs.ts')).logsCommand(select, options, globals())),
    )
  program
    .command('events')
    .description('Print events as they happen.')
    .option('--since <epoch:seq>', 'begin after that event')
    .option('--types <globs>', 'only these types, such as process.*', list)
    .option('--programs <globs>', 'only these programs', list)
    .action(async (options: object) =>
      done(await (await import('./commands/events.ts')).eventsCommand(options, globals())),
    )
  commandAt(program, 'token create')
    .description('Make a token; it is printed alone on stdout, this once.')
    .argument('<name>')
    .option('--role <role>', 'viewer, operator, deployer or admin')
    .option('--scopes <scopes>', 'instead of a role: read,logs,control,program,cron,admin', list)
    .option('--programs <globs>', 'programs that it may see and use (default all)', list)
    .option('--users <users>', 'system users that its programs may run as', list)
    .option('--expires-at <time>', 'ISO 8601 in UTC')
    .action(async (name: string, options: object) =>
      onHost(({ createToken }) => createToken(name, options, globals())),
    )
  commandAt(program, 'audit verify')
    .description('Find an edited, removed, reordered or truncated record; needs no running agent.')
    .action(async () => onHost(({ verifyCommand }) => verifyCommand(globals())))
  commandAt(program, 'policy explain')
    .description('Say what would happen with a call, and which rule decides: policy explain -- METHOD JSON.')
    .argument('<method>')
    .argument('[params]', 'its parameters as JSON')
    .action(async (method: string, params: string | undefined) =>
      done(await (await import('./commands/policy-explain.ts')).explainPolicy(method, params, globals())),
    )
  program
    .command('doctor')
    .description('Look for what is wrong on this host, and say what cures it; needs no running agent.')
    .option('-v, --verbose', 'print what is well too')
    .action(async (options: object) => onHost(({ doctorCommand }) => doctorCommand(options, globals())))
  program
    .command('init')
    .description('Make this host ready: config, folders, event listener in supervisord.')
    .option(
      '--remove',
      'give crontab entries back to their users, take the event listener out of supervisord',
    )
    .action(async (options: object) => onHost(({ initCommand }) => initCommand(options, globals())))
  for (const verb of ['install', 'remove', 'status'] as const)
    commandAt(program, `listener ${verb}`)
      .description(LISTENER[verb])
      .action(async () => onHost(({ listenerCommand }) => listenerCommand(verb, globals())))
  commandAt(program, 'config check')
    .description('Read the config file and say what is wrong with it.')
    .action(async () => onHost(({ checkConfig }) => checkConfig(globals())))
  program
    .command('daemon')
    .description('Run the agent in the foreground, as the systemd service does.')
    .action(async () => done(await (await import('./commands/daemon.ts')).runDaemon(globals())))
  program
    .command('version')
    .description('Print the version.')
    .action(() => void process.stdout.write(`${versionText}\n`))
  program
    .command('completion <shell>')
    .description('Print a completion script for bash, zsh or fish.')
    .action((shell: string) => {
      const script = completionScript(madeWhole(program), shell)
      process.stdout.write(globals().json ? `${JSON.stringify({ shell, script })}\n` : script)
    })
  return program
}

const LISTENER = {
  install: 'Put the event listener into supervisord; touches no other group.',
  remove: 'Take it out again.',
  status: 'Say whether it is there and runs.',
}

async function callMethod(
  method: MethodName,
  params: Record<string, unknown>,
  globals: Globals,
): Promise<number> {
  // of those that wait for processes it is each one's deadline, as their own option
  const isTheirs = 'timeoutMs' in METHODS[method].params.shape
  const given = isTheirs ? { ...deadlineOf(globals), ...params } : params
  const { timeoutMs: _each, ...unhurried } = globals
  const client = await openClient(isTheirs ? unhurried : globals, { reconnect: false })
  const cancel = new AbortController()
  const interrupt = () => cancel.abort(new AgentError('CANCELLED', 'cancelled; what was begun goes on'))
  process.once('SIGINT', interrupt)
  const progress = showProgress(globals)
  try {
    const result: Record<string, unknown> = await client.call(method, given, {
      ...(isTheirs ? {} : deadlineOf(globals)),
      signal: cancel.signal,
      mutates: METHODS[method].mutating,
      onProgress: progress.update,
    })
    progress.end()
    process.stdout.write(globals.json ? `${JSON.stringify(result)}\n` : await print(method, result))
    if (!globals.json && !globals.quiet) tellRemarks(method, result)
    return exitOf(method, result)
  } catch (error) {
    // scripts read 4 as: the state is not known
    if (method === 'process.list' && error instanceof AgentError && error.code !== 'INVALID_PARAMS')
      return Math.max(4, report(error, { isJson: globals.json === true }))
    throw error
  } finally {
    progress.end()
    process.off('SIGINT', interrupt)
    await client.close()
  }
}

/** Their warnings are among what they print. */
const PRINTS_WARNINGS: readonly MethodName[] = ['program.plan', 'crontab.plan', 'crontab.preview']

/** That the states are old, what the policy denies to all but this socket, and what was cut. */
function tellRemarks(method: MethodName, result: Record<string, unknown>): void {
  const { warnings, truncated, ...lists } = result
  const remark = method === 'process.list' ? ageRemark(result as unknown as ResultOf<'process.list'>) : null
  if (remark !== null) process.stderr.write(`agent: ${harmless(remark)}\n`)
  const told = Array.isArray(warnings) && !PRINTS_WARNINGS.includes(method) ? warnings : []
  for (const warning of told) process.stderr.write(`warning: ${harmless(String(warning))}\n`)
  for (const [name, length] of Object.entries(truncated ?? {})) {
    const shown = lists[name]
    process.stderr.write(
      `warning: ${name}: ${Array.isArray(shown) ? shown.length : 0} of ${length} are shown; all were dealt with\n`,
    )
  }
}

function exitOf(method: MethodName, result: Record<string, unknown>): number {
  if (method === 'process.list') return statusExit(result as unknown as Parameters<typeof statusExit>[0])
  if (method === 'program.plan') return planExit(result as unknown as ResultOf<'program.plan'>)
  if (method === 'crontab.plan') return result['diff'] === '' ? 0 : 10
  const { results } = result as { results?: { ok: boolean }[] }
  return results?.some(({ ok }) => !ok) ? 1 : 0
}

/** 10 tells scripts that a put would change something. */
function planExit({ diff, actions, errors }: ResultOf<'program.plan'>): number {
  if (errors.length > 0) return 1
  return diff === '' && actions.every(({ action }) => action === 'none') ? 0 : 10
}

function deadline(text: string): number {
  const value = wholeNumber(text)
  if (value < 1) throw new InvalidArgumentError('1 or more is needed')
  return value
}

function list(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), ...value.split(',')]
}
