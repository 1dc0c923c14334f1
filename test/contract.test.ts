// Pins what panels rely on: a change of the API shows here as a diff.
import t from 'tap'
import type * as z from 'zod'
import { METHODS } from '../src/methods/index.ts'
import { openRpcDocument } from '../src/methods/openrpc.ts'
import { AgentError, ERRORS, fromWireError, toWireError } from '../src/protocol/errors.ts'
import { EVENTS } from '../src/protocol/events.ts'
import { Request } from '../src/protocol/frames.ts'
import { CLOSE, LIMITS, PROTOCOL_VERSION, SUBPROTOCOL } from '../src/protocol/limits.ts'
import type { MethodSpec } from '../src/protocol/method.ts'
import { IdempotencyKey } from '../src/protocol/names.ts'
import { ROLES, SCOPES } from '../src/protocol/scopes.ts'
import { ERROR_CODES } from './error-codes.ts'
import { parts } from './server/support.ts'

const READS = 'reads'
const CHANGES = 'changes'

const PINNED: Record<string, readonly [scope: string, effect: string]> = {
  'agent.info': ['read', READS],
  'agent.doctor': ['read', READS],
  'rpc.discover': ['any', READS],
  'rpc.cancel': ['any', READS],
  'process.list': ['read', READS],
  'process.start': ['control', CHANGES],
  'process.stop': ['control', CHANGES],
  'process.restart': ['control', CHANGES],
  'process.signal': ['control', CHANGES],
  'process.stdin': ['admin', CHANGES],
  'log.tail': ['logs', READS],
  'log.follow': ['logs', READS],
  'log.unfollow': ['any', READS],
  'log.clear': ['control', CHANGES],
  'supervisor.info': ['read', READS],
  'supervisor.log': ['logs', READS],
  'supervisor.reread': ['program', CHANGES],
  'supervisor.update': ['program', CHANGES],
  'supervisor.restart': ['admin', CHANGES],
  'supervisor.shutdown': ['admin', CHANGES],
  'program.list': ['read', READS],
  'program.get': ['read', READS],
  'program.presets': ['read', READS],
  'program.plan': ['program', READS],
  'program.put': ['program', CHANGES],
  'program.delete': ['program', CHANGES],
  'program.scale': ['program', CHANGES],
  'program.enable': ['program', CHANGES],
  'program.disable': ['program', CHANGES],
  'program.adopt': ['program', CHANGES],
  'program.history': ['read', READS],
  'program.restore': ['program', CHANGES],
  'program.quarantine': ['admin', CHANGES],
  'crontab.list': ['read', READS],
  'crontab.preview': ['read', READS],
  'crontab.presets': ['read', READS],
  'crontab.plan': ['cron', READS],
  'crontab.put': ['cron', CHANGES],
  'crontab.delete': ['cron', CHANGES],
  'crontab.enable': ['cron', CHANGES],
  'crontab.disable': ['cron', CHANGES],
  'crontab.import': ['cron', CHANGES],
  'crontab.eject': ['cron', CHANGES],
  'crontab.repair': ['cron', CHANGES],
  'crontab.backups': ['cron', READS],
  'crontab.restoreBackup': ['cron', CHANGES],
  'crontab.run': ['cron', CHANGES],
  'crontab.kill': ['cron', CHANGES],
  'crontab.runs': ['read', READS],
  'event.subscribe': ['read', READS],
  'event.unsubscribe': ['any', READS],
  'token.list': ['admin', READS],
  'token.create': ['admin', CHANGES],
  'token.rotate': ['admin', CHANGES],
  'token.revoke': ['admin', CHANGES],
  'policy.explain': ['read', READS],
  'audit.list': ['admin', READS],
  'audit.verify': ['admin', READS],
}

/** Parameters and result fields that protocol.md names; results may grow. */
const FIELDS: Record<string, readonly [params: string, result: string]> = {
  'agent.info': ['', 'name version protocol epoch startedAt node listen panel supervisor cron policyDigest'],
  'agent.doctor': ['', 'findings'],
  'rpc.discover': ['', ''],
  'rpc.cancel': ['id', 'cancelled'],
  'process.list': ['select', 'epoch seq processes'],
  'process.start': ['select wait timeoutMs', 'results'],
  'process.stop': ['select wait timeoutMs', 'results'],
  'process.restart': ['select wait timeoutMs mode maxUnavailable', 'results'],
  'process.signal': ['select signal', 'results'],
  'process.stdin': ['process text', ''],
  'log.tail': ['process channel lines bytes cursor', 'text cursor truncated'],
  'log.follow': ['select channel lines cursors', 'subscription'],
  'log.unfollow': ['subscription', ''],
  'log.clear': ['select', 'results'],
  'supervisor.info': [
    '',
    'identification version state pid configFile includes programDir programExt listener',
  ],
  'supervisor.log': ['bytes', 'text'],
  'supervisor.reread': ['', 'added changed removed'],
  'supervisor.update': ['groups', 'added changed removed'],
  'supervisor.restart': ['', ''],
  'supervisor.shutdown': ['', ''],
  'program.list': ['', 'programs'],
  'program.get': ['name', 'program'],
  'program.presets': ['preset show', 'presets'],
  'program.plan': ['definition ifRevision', 'diff actions warnings errors'],
  'program.put': ['definition ifRevision verifyMs', 'program actions warnings'],
  'program.delete': ['name ifRevision', 'removed'],
  'program.scale': ['name processes', 'program started stopped'],
  'program.enable': ['name', 'program'],
  'program.disable': ['name', 'program'],
  'program.adopt': ['name', 'program'],
  'program.history': ['name', 'revisions'],
  'program.restore': ['name revision', 'program'],
  'program.quarantine': ['file undo', 'from to faults'],
  'crontab.list': ['user', 'entries'],
  'crontab.preview': ['schedule count', 'description next warnings'],
  'crontab.presets': ['preset show', 'presets'],
  'crontab.plan': ['entry ifRevision', 'diff warnings'],
  'crontab.put': ['entry ifRevision', 'entry warnings'],
  'crontab.delete': ['id ifRevision', 'entry'],
  'crontab.enable': ['id ifRevision', 'entry'],
  'crontab.disable': ['id ifRevision', 'entry'],
  'crontab.import': ['user key', 'entry'],
  'crontab.eject': ['id', 'entry'],
  'crontab.repair': ['user', ''],
  'crontab.backups': ['user', 'backups'],
  'crontab.restoreBackup': ['user backup', ''],
  'crontab.run': ['id', 'run'],
  'crontab.kill': ['run', 'run'],
  'crontab.runs': ['id limit output', 'runs'],
  'event.subscribe': ['types programs since', 'subscription mode epoch seq snapshot'],
  'event.unsubscribe': ['subscription', ''],
  'token.list': ['', 'tokens'],
  'token.create': ['name role scopes programs users expiresAt', 'token record'],
  'token.rotate': ['token graceMs', 'token record'],
  'token.revoke': ['token cascade', 'record'],
  'policy.explain': ['method params', 'allowed rule text'],
  'audit.list': ['since limit', 'records'],
  'audit.verify': ['', 'ok brokenAt'],
}

/** What a client of any method must be ready for, and of any that changes something. */
const OF_ALL = [
  'INVALID_PARAMS',
  'FORBIDDEN',
  'TOO_MANY_REQUESTS',
  'CANCELLED',
  'SHUTTING_DOWN',
  'INTERNAL',
] as const
const OF_CHANGES = ['POLICY_DENIED', 'IDEMPOTENCY_CONFLICT', 'OUTCOME_UNKNOWN'] as const

/** Exit statuses that protocol.md names. */
const EXITS: Record<string, number> = {
  INVALID_PARAMS: 2,
  METHOD_NOT_FOUND: 2,
  FORBIDDEN: 4,
  SUPERVISOR_UNREACHABLE: 4,
  POLICY_DENIED: 11,
  ROLLED_BACK: 12,
  OUTCOME_UNKNOWN: 13,
}

const EVENT_FIELDS: Record<string, string> = {
  'process.state': 'process program from to pid exitStatus signal expected tries logTail',
  'process.added': 'process',
  'process.removed': 'process',
  'supervisor.state': 'state reason',
  'program.applied': 'program',
  'program.rolledBack': 'program',
  'program.drift': 'program',
  'program.removed': 'program',
  'crontab.changed': 'user',
  'crontab.drift': 'user diff',
  'crontab.started': 'run id user startedAt',
  'crontab.finished': 'run id user verdict exitStatus signal durationMs',
  'crontab.missed': 'run id user dueAt',
  'agent.started': '',
  'agent.stopping': '',
  'token.revoked': '',
}

type AnyMethod = MethodSpec<z.ZodObject, z.ZodObject, never>
const methods = Object.entries(METHODS) as unknown as [string, AnyMethod][]
const words = (text: string) => text.split(' ').filter(Boolean)

await t.test('methods, their scope and whether they change something', async (t) => {
  t.strictSame(
    Object.fromEntries(
      methods.map(([name, { scope, mutating }]) => [name, [scope, mutating ? CHANGES : READS]]),
    ),
    PINNED,
  )
})

for (const [name, method] of methods)
  await t.test(name, async (t) => {
    const { params, result } = method.example
    t.doesNotThrow(() => method.params.parse(params), 'its example is a call')
    t.doesNotThrow(() => method.result.parse(result), 'its example is an answer')
    const [wanted, given] = FIELDS[name] ?? []
    const fields = Object.keys(method.params.shape).filter((field) => field !== 'idempotencyKey')
    t.strictSame(
      fields.toSorted(),
      words(wanted ?? '?').toSorted(),
      'its parameters are those of the protocol',
    )
    const made = Object.keys(method.result.shape)
    t.strictSame(
      words(given ?? '?').filter((field) => !made.includes(field)),
      [],
      'its result has every field of the protocol',
    )
    t.equal(method.params.safeParse({ ...params, unknownKey: 1 }).success, false, 'takes no unknown key')
    t.match(method.summary, /^[A-Z].*\.$/, 'its summary is a sentence')
    t.strictSame(
      method.errors.filter((error) => !(error in ERRORS)),
      [],
    )
    t.equal(new Set(method.errors).size, method.errors.length, 'names each error once')
    for (const error of OF_ALL) t.ok(method.errors.includes(error), error)
    // what only looks may be denied too, where it looks at what would be done
    for (const error of OF_CHANGES)
      if (method.mutating || error !== 'POLICY_DENIED')
        t.equal(method.errors.includes(error), method.mutating, error)
    for (const secret of method.secretResults ?? []) {
      const without = { ...(result as object), [secret]: null }
      t.equal(method.result.safeParse(without).success, true, `its result may be without ${secret}`)
    }
    const key = method.params.safeParse({ ...params, idempotencyKey: 'deploy-1' }).success
    t.equal(key, method.mutating, 'takes an idempotencyKey exactly when it changes something')
    if (!method.mutating) return
    t.equal(method.params.safeParse({ ...params, idempotencyKey: 'short' }).success, false)
    t.equal(method.result.safeParse({ ...(result as object), replayed: true }).success, true)
  })

await t.test('an idempotency key has 8 to 64 characters of a few', async (t) => {
  for (const good of ['12345678', 'a'.repeat(64), 'A_b.c:d-9'])
    t.ok(IdempotencyKey.safeParse(good).success, good)
  for (const bad of ['1234567', 'a'.repeat(65), 'with space', 'ünlaut-key', 'key/with/slash', ''])
    t.notOk(IdempotencyKey.safeParse(bad).success, bad)
})

await t.test('error names and their codes', async (t) => {
  t.strictSame(Object.fromEntries(Object.entries(ERRORS).map(([name, { rpc }]) => [name, rpc])), ERROR_CODES)
  for (const [name, exit] of Object.entries(EXITS))
    t.equal(ERRORS[name as keyof typeof ERRORS].exit, exit, `exit status of ${name}`)
  for (const [name, { exit, summary }] of Object.entries(ERRORS)) {
    t.ok([1, 2, 4, 11, 12, 13].includes(exit), `exit status of ${name}`)
    t.match(summary, /^\S.*\.$/, `${name} is explained`)
  }
})

await t.test('an error keeps its name and facts on the way, and nothing else leaves', async (t) => {
  const facts = { rule: 'policy.readOnly', name: 'forged', retry: 'forged' }
  const wire = toWireError(new AgentError('POLICY_DENIED', 'no', { facts, cause: new Error('secret') }))
  t.strictSame(wire, {
    code: 1002,
    message: 'no',
    data: { rule: 'policy.readOnly', name: 'POLICY_DENIED', retry: false },
  })
  const back = fromWireError(wire)
  t.equal(back.code, 'POLICY_DENIED')
  t.strictSame(back.facts, { rule: 'policy.readOnly' })
  t.notMatch(JSON.stringify(toWireError(new Error('/etc/secret'))), 'secret')
  t.equal(toWireError('text').data.name, 'INTERNAL')
  t.equal(fromWireError({ code: 9, message: 'x', data: { name: 'toString', retry: false } }).code, 'INTERNAL')
})

await t.test('event types and their payload', async (t) => {
  t.strictSame(Object.keys(EVENTS), Object.keys(EVENT_FIELDS))
  for (const [type, { payload }] of Object.entries(EVENTS)) {
    const made = Object.keys((payload as z.ZodObject).shape)
    t.strictSame(
      words(EVENT_FIELDS[type] ?? '').filter((field) => !made.includes(field)),
      [],
      type,
    )
  }
})

await t.test('close codes, limits, roles, version', async (t) => {
  t.strictSame(CLOSE, {
    goingAway: 1001,
    binary: 1003,
    badUtf8: 1007,
    malformed: 1008,
    tooBig: 1009,
    restarting: 1012,
    overload: 1013,
    tokenEnded: 4401,
    stalled: 4408,
    overRate: 4429,
  })
  t.strictSame(LIMITS, {
    frameInBytes: 262_144,
    frameOutBytes: 1_048_576,
    depth: 16,
    inFlight: 32,
    requestsPerSecond: 50,
    requestsBurst: 100,
    overRateClose: 200,
    malformedClose: 25,
    eventSubscriptions: 16,
    logStreams: 32,
    highWaterBytes: 1_048_576,
    lowWaterBytes: 262_144,
    stalledMs: 15_000,
    logBatchBytes: 4096,
    logBatchMs: 50,
    connections: 128,
    connectionsPerToken: 16,
    pingMs: 20_000,
    deadMs: 60_000,
    handshakeMs: 5000,
    bookmarkMs: 20_000,
  })
  t.strictSame(SCOPES, ['read', 'logs', 'control', 'program', 'cron', 'admin'])
  t.strictSame(ROLES, {
    viewer: ['read', 'logs'],
    operator: ['read', 'logs', 'control'],
    deployer: ['read', 'logs', 'control', 'program', 'cron'],
    admin: ['read', 'logs', 'control', 'program', 'cron', 'admin'],
  })
  t.strictSame([PROTOCOL_VERSION, SUBPROTOCOL], [1, 'supervisor-agent.v1'])
})

interface Described {
  name: string
  summary: string
  params: { name: string; required: boolean; schema: object }[]
  result: { name: string; schema: object }
  errors: { code: number; message: string }[]
  [extension: `x-${string}`]: unknown
}

await t.test('rpc.discover describes every method', async (t) => {
  const { open } = await parts(t)
  const { result } = await open().call('rpc.discover')
  t.strictSame(result, openRpcDocument('0.0.0'))
  t.match(result, { openrpc: /^1\.\d+\.\d+$/, info: { title: 'supervisor-agent', version: '0.0.0' } })
  const described = (result as unknown as { methods: Described[] }).methods
  t.strictSame(
    described.map(({ name }) => name),
    Object.keys(PINNED),
  )
  for (const entry of described) {
    const method = METHODS[entry.name as keyof typeof METHODS] as unknown as AnyMethod
    t.equal(entry['x-scope'], method.scope)
    t.equal(entry['x-mutating'], method.mutating)
    t.strictSame(
      entry.errors.map(({ code, message }) => [message, code]),
      method.errors.map((error) => [error, ERROR_CODES[error]]),
    )
    t.strictSame(
      entry.params.map(({ name }) => name),
      Object.keys(method.params.shape),
    )
    for (const { name, required, schema } of entry.params) {
      const without = Object.entries(method.example.params).filter(([key]) => key !== name)
      t.equal(
        !method.params.safeParse(Object.fromEntries(without)).success,
        required,
        `${entry.name} ${name}`,
      )
      t.type(schema, 'object')
    }
    t.match(entry.result.schema, { type: 'object', properties: {} })
  }
})

await t.test('a request is what JSON-RPC 2.0 says, with ids that survive every language', async (t) => {
  const ids = [
    { id: 'a'.repeat(64), is: true },
    { id: 'a'.repeat(65), is: false },
    { id: Number.MAX_SAFE_INTEGER, is: true },
    { id: 2 ** 60, is: false },
    { id: 1.5, is: false },
    { id: null, is: false },
    { id: undefined, is: true },
  ]
  for (const { id, is } of ids)
    t.equal(Request.safeParse({ jsonrpc: '2.0', id, method: 'agent.info' }).success, is, String(id))
})
