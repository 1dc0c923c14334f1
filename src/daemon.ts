// The composition root: every service is built here, top to bottom, each followed by its undo.
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from './config.ts'
import { DEFAULT_CONFIG } from './config-path.ts'
import { AuthFailures } from './core/access/auth-failures.ts'
import { ClientAddresses } from './core/access/client-address.ts'
import { IdempotencyKeys } from './core/access/idempotency.ts'
import { LOCAL_ADMIN, localAgent } from './core/access/local-principals.ts'
import { TokenService } from './core/access/token-service.ts'
import { TokenStore } from './core/access/tokens.ts'
import { AuditLog } from './core/audit/log.ts'
import { auditPaths } from './core/audit/paths.ts'
import { AuditService } from './core/audit/service.ts'
import { CrontabStack } from './core/crontab/stack.ts'
import { DoctorService } from './core/doctor/service.ts'
import { EventBus } from './core/events/bus.ts'
import { EventJournal } from './core/events/journal.ts'
import { Chores } from './core/host/chores.ts'
import { cronDaemon } from './core/host/cron-daemon.ts'
import { DescriptorWatch } from './core/host/descriptor-watch.ts'
import { groupId } from './core/host/group-id.ts'
import { IdleHeap } from './core/host/idle-heap.ts'
import { RunAs, usualPython } from './core/host/run-as.ts'
import { claimFolder, claimSpool } from './core/host/sole-agent.ts'
import { SteadyClock } from './core/host/steady-clock.ts'
import { UsageSampler } from './core/host/usage.ts'
import { LogService } from './core/logs/service.ts'
import { Enrolment } from './core/panel/enrolment.ts'
import { panelPrincipal } from './core/panel/panel-principal.ts'
import { Pins } from './core/panel/pins.ts'
import { Policy } from './core/policy/policy.ts'
import { PresetBook } from './core/programs/presets/book.ts'
import { PRESETS } from './core/programs/presets/index.ts'
import { ProgramStack } from './core/programs/stack.ts'
import type { ScheduleClock } from './core/schedules/clock.ts'
import { SupervisorStack } from './core/supervisor/stack.ts'
import { atMost } from './lib/at-most.ts'
import { isoTime } from './lib/iso-time.ts'
import { Teardown } from './lib/teardown.ts'
import type { Logger } from './logger.ts'
import type { Services } from './methods/context.ts'
import { LIMITS } from './protocol/limits.ts'
import { Dispatcher } from './server/dispatcher.ts'
import { renderMetrics } from './server/metrics.ts'
import { SessionServer } from './server/session-server.ts'
import { DialOut } from './transports/dialout.ts'
import { Gate } from './transports/gate.ts'
import { type Health, HttpTransport } from './transports/http.ts'
import { LocalTransport } from './transports/local.ts'
import { WebSocketTransport } from './transports/websocket.ts'
import { agentVersion } from './version.ts'
import { withSettings } from './with-settings.ts'

/** Where logs go when the policy names no folder; without one none is allowed. */
const LOG_FOLDER = '/var/log/supervisor'
const SOCKET_GROUP = 'supervisor-agent'
/** A supervisord that hangs does not hold up the end of the agent. */
const SUPERVISOR_STOP_MS = 2_000
/** Nor does what a schedule has begun. */
const SCHEDULES_STOP_MS = 1_500
/** Nor do peers. Each is cut off after a second. */
const TRANSPORTS_STOP_MS = 1_500

export interface Daemon {
  /** Where it listens for WebSockets; null when TCP is off. */
  address: { host: string; port: number } | null
  /** Ends every session and flushes every file. */
  stop(reason: string): Promise<void>
}

/**
 * Starts the agent. What was started is stopped again when a later step fails.
 * @param configFile where the config is from, for texts that say what to change
 */
export async function startDaemon(
  config: Config,
  logger: Logger,
  configFile: string = DEFAULT_CONFIG,
): Promise<Daemon> {
  const teardown = new Teardown()
  try {
    return await build(config, { logger, teardown, configFile })
  } catch (error) {
    await teardown.run()
    throw error
  }
}

async function build(
  config: Config,
  { logger, teardown, configFile }: { logger: Logger; teardown: Teardown; configFile: string },
): Promise<Daemon> {
  const { listen, supervisor: connect } = config
  const version = agentVersion()
  const startedAt = isoTime()
  let health: Health = 'starting'
  mkdirSync(listen.runDir, { recursive: true, mode: 0o755 })
  mkdirSync(config.stateDir, { recursive: true, mode: 0o700 })
  // before anything in them is read or written
  const folders = new Set([config.stateDir, listen.runDir])
  for (const folder of folders) teardown.defer(claimFolder(folder, logger))
  if (!folders.has(config.spoolDir)) teardown.defer(claimSpool(config.spoolDir, logger))

  // built first, so that it stops last: the journal does not wait for a file that others hold
  const tokens = new TokenStore({ path: config.tokensFile, logger })
  await tokens.start()
  teardown.defer(() => tokens.stop())

  const clock = new SteadyClock({ path: join(config.stateDir, 'steady-clock.json'), logger })
  teardown.defer(() => clock.save())
  const { now } = clock
  const journal = new EventJournal({ folder: join(config.stateDir, 'journal'), logger, now })
  teardown.defer(() => journal.stop())
  const bus = new EventBus({ journal })
  const policy = new Policy({
    rules: config.policy,
    file: configFile,
    supervisord: () => supervisor.facts(),
  })
  const untold = tokens.onChange((changes) => {
    for (const { name, hasEnded, actor } of changes)
      if (hasEnded) bus.publish('token.revoked', { token: name }, actor)
  })
  teardown.defer(untold)

  const logs = new LogService()
  teardown.defer(() => logs.stop())
  const usage = new UsageSampler()
  const supervisor = new SupervisorStack({
    address: connect,
    files: connect,
    runDir: listen.runDir,
    stateDir: config.stateDir,
    bus,
    position: journal.source,
    logs,
    usageOf: (pid) => usage.of(pid),
    logger,
  })

  const runAs = new RunAs({ folder: join(config.stateDir, 'tasks'), python: usualPython })
  const programs = new ProgramStack({
    supervisor,
    policy,
    presets: new PresetBook([...PRESETS, ...(await ownPresets(config.presetsDir, logger))]),
    runAs,
    bus,
    stateDir: config.stateDir,
    logFolder: config.policy.logDirectories[0] ?? LOG_FOLDER,
    logger,
  })
  const crontabs = new CrontabStack({
    policy,
    bus,
    stateDir: config.stateDir,
    spoolDir: config.spoolDir,
    cronDrift: config.policy.cronDrift,
    runAs,
    now,
    logger,
  })
  teardown.defer(() => crontabs.stop())
  await crontabs.start()
  const keys = new IdempotencyKeys({ folder: join(config.stateDir, 'results'), logger, now })
  await keys.start()
  teardown.defer(() => keys.stop())
  const paths = auditPaths(config.stateDir)
  const audit = new AuditLog({ paths, logger, now })
  teardown.defer(() => audit.stop())
  const panel = () => dialOut?.state() ?? { state: 'off' as const, since: startedAt }
  const services: Services = {
    agent: {
      name: config.name,
      version,
      startedAt,
      listen: () => {
        const address = http?.address() ?? null
        return address && { ...address, tls: listen.tls.cert !== '' }
      },
      panel,
      cron: cronDaemon,
      schedules: () => schedules?.list() ?? [],
    },
    bus,
    processes: supervisor.processes,
    logs: supervisor.logs,
    supervisor: supervisor.service,
    programs: programs.service,
    graceful: programs.graceful,
    quarantine: programs.quarantine,
    crontabs: crontabs.service,
    cronRuns: crontabs.runner,
    tokens: new TokenService({ store: tokens }),
    policy,
    audit: new AuditService({ log: audit, paths }),
    doctor: new DoctorService({
      config,
      configFile,
      supervisor,
      panel,
      isJournalBehind: () => journal.isBehind,
      cron: cronDaemon,
    }),
  }
  const dispatcher = new Dispatcher({ keys, audit, limits: LIMITS, logger })
  const sessions = new SessionServer({
    services,
    dispatcher,
    limits: LIMITS,
    logger,
  })
  sessions.start()
  teardown.defer(() => sessions.stop())
  const open = sessions.open.bind(sessions)

  const gid = groupId(SOCKET_GROUP)
  const sockets = [
    { file: 'admin.sock', mode: 0o600, principal: LOCAL_ADMIN },
    { file: 'agent.sock', mode: 0o660, principal: localAgent(listen), ...(gid === undefined ? {} : { gid }) },
  ].map(({ file, ...rest }) => new LocalTransport({ path: join(listen.runDir, file), ...rest, open, logger }))

  const failures = new AuthFailures()
  const addresses = new ClientAddresses(listen)
  const gate = new Gate({ tokens, failures, addresses, logger })
  const http =
    listen.port === 'off'
      ? null
      : new HttpTransport({
          listen: { host: listen.host, port: listen.port, tls: readTls(listen.tls) },
          gate,
          health: () => (health === 'ok' && !supervisor.connection.isSettled ? 'starting' : health),
          metrics: () =>
            renderMetrics({
              processes: supervisor.table,
              connection: supervisor.connection,
              sessions,
              bus,
              version,
            }),
          metricsOpenOnLoopback: listen.metricsOpenOnLoopback,
          logger,
        })
  const webSockets =
    http &&
    new WebSocketTransport({
      http,
      gate,
      tokens,
      failures,
      allowedOrigins: listen.allowedOrigins,
      open,
      logger,
    })

  const dialOut = config.panel.url === '' ? null : panelLink(config, { version, open, logger })

  const descriptors = new DescriptorWatch({ logger })
  descriptors.start()
  teardown.defer(() => descriptors.stop())

  const closing: (() => Promise<void>)[] = []
  const closeTransports = () =>
    atMost(TRANSPORTS_STOP_MS, Promise.all(closing.splice(0).map((close) => close())))
  teardown.defer(closeTransports)
  for (const socket of sockets) {
    await socket.start()
    closing.push(() => socket.stop())
  }
  if (http && webSockets) {
    webSockets.start()
    await http.start()
    closing.push(
      () => webSockets.stop(),
      () => http.stop(),
    )
  }
  await programs.start()
  teardown.defer(() => programs.stop())
  await supervisor.start()
  teardown.defer(() => atMost(SUPERVISOR_STOP_MS, supervisor.stop()))

  if (dialOut) {
    dialOut.start()
    closing.push(() => dialOut.stop())
  }

  const schedules =
    config.schedules.length === 0
      ? null
      : await scheduleClock(config.schedules, { services, dispatcher, logger })
  schedules?.start()
  teardown.defer(() => atMost(SCHEDULES_STOP_MS, schedules?.stop() ?? Promise.resolve()))

  const chores = new Chores({ logger })
  teardown.defer(() => chores.stop())
  chores.add('reconcile', '7 * * * * *', () => supervisor.connection.isUp && supervisor.observer.reconcile())
  chores.add('tokens', '*/30 * * * * *', () => tokens.expireSweep())
  chores.add('journal', '0 17 * * * *', () => journal.retain())
  chores.add('steady clock', '0 5 * * * *', () => clock.save())
  chores.add('idempotency', '0 13 * * * *', () => keys.sweep())
  chores.add('audit', '23 * * * * *', () => audit.settle())
  const sample = () => usage.sample(supervisor.table.all().flatMap(({ pid }) => (pid === null ? [] : [pid])))
  sample()
  chores.add('programs', '41 * * * * *', () => supervisor.connection.isUp && programs.tend())
  chores.add('crontabs', '47 * * * * *', () => crontabs.tend())
  chores.add('cron results', '53 * * * * *', () => crontabs.results.tend())
  chores.add('cron runs', '0 19 * * * *', () => crontabs.results.runs.retain())
  chores.add('usage', '*/10 * * * * *', sample)
  const heap = new IdleHeap()
  heap.start()
  chores.add('heap', '8-59/10 * * * * *', () => heap.tend())
  // on the way down peers are told first, whatever supervisord does
  teardown.defer(closeTransports)

  bus.publish('agent.started', { version })
  health = 'ok'
  logger.info({ version, address: http?.address() ?? null, runDir: listen.runDir }, 'agent started')
  return {
    address: http?.address() ?? null,
    async stop(reason) {
      health = 'stopping'
      webSockets?.refuse()
      logger.info({ reason }, 'agent stopping')
      bus.publish('agent.stopping', { reason })
      await sessions.stop()
      keys.ending()
      await teardown.run()
    },
  }
}

/** Loaded only where there are any. */
async function ownPresets(folder: string, logger: Logger) {
  if (folder === '') return []
  const { readPresets } = await import('./preset-files.ts')
  return await withSettings(({ readYaml }) => readPresets(folder, { known: PRESETS, readYaml, logger }))
}

/** Loaded only where there are any. */
async function scheduleClock(
  rules: Config['schedules'],
  { logger, ...deps }: { services: Services; dispatcher: Dispatcher; logger: Logger },
): Promise<ScheduleClock> {
  const [{ ScheduleClock: Clock }, { carryOut }] = await Promise.all([
    import('./core/schedules/clock.ts'),
    import('./server/scheduled-calls.ts'),
  ])
  return new Clock({
    rules,
    carryOut: (number, rule, signal) => carryOut(number, rule, { ...deps, signal }),
    logger,
  })
}

function panelLink(
  { name, panel }: Config,
  { version, ...deps }: { version: string; open: SessionServer['open']; logger: Logger },
): DialOut {
  return new DialOut({
    address: { url: panel.url, pins: panel.pin === '' ? null : Pins.parse(panel.pin) },
    enrolment: new Enrolment({ files: panel, agent: name, version }),
    principal: panelPrincipal(panel),
    ...deps,
  })
}

function readTls(paths: { cert: string; key: string; clientCa: string }) {
  if (paths.cert === '') return undefined
  const read = (path: string) => readFileSync(path, 'utf8')
  return {
    cert: read(paths.cert),
    key: read(paths.key),
    ...(paths.clientCa === '' ? {} : { clientCa: read(paths.clientCa) }),
  }
}
