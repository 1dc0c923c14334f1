// Who may do what: every method of the table, with every scope, over every way in, under every policy. Made from the
// table, so that a method cannot be forgotten: one that changes something and is not in RULES fails here.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import type * as z from 'zod'
import type { Config } from '../src/config.ts'
import { LOCAL_ADMIN, localAgent } from '../src/core/access/local-principals.ts'
import type { Principal } from '../src/core/access/principal.ts'
import type { CallSource, Explanation } from '../src/methods/context.ts'
import { METHODS } from '../src/methods/index.ts'
import { AgentError } from '../src/protocol/errors.ts'
import type { MethodSpec } from '../src/protocol/method.ts'
import { POLICY_SWITCHES, type PolicySwitch } from '../src/protocol/policy.ts'
import { SCOPES, type Scope } from '../src/protocol/scopes.ts'
import { supervisord } from './fixtures/supervisord.ts'
import { until } from './fixtures/wait.ts'
import { parts, somebody } from './server/support.ts'

type AnyMethod = MethodSpec<z.ZodObject, z.ZodObject, never>
const methods = Object.entries(METHODS) as unknown as [string, AnyMethod][]

/** What each method that changes something needs of the policy, beside a host that is not read-only. */
const RULES: Record<string, readonly PolicySwitch[]> = {
  'process.start': [],
  'process.stop': [],
  'process.restart': [],
  'process.signal': [],
  'process.stdin': ['allowStdin'],
  'log.clear': [],
  'supervisor.reread': ['allowRemoteProgram'],
  'supervisor.update': ['allowRemoteProgram'],
  'supervisor.restart': ['allowSupervisorShutdown'],
  'supervisor.shutdown': ['allowSupervisorShutdown'],
  'program.put': ['allowRemoteProgram'],
  'program.delete': ['allowRemoteProgram'],
  'program.scale': ['allowRemoteProgram'],
  'program.enable': ['allowRemoteProgram'],
  'program.disable': ['allowRemoteProgram'],
  'program.adopt': ['allowRemoteProgram'],
  'program.restore': ['allowRemoteProgram'],
  'program.quarantine': [],
  'crontab.put': ['allowRemoteCron'],
  'crontab.delete': ['allowRemoteCron'],
  'crontab.enable': ['allowRemoteCron'],
  'crontab.disable': ['allowRemoteCron'],
  'crontab.import': ['allowRemoteCron'],
  'crontab.eject': ['allowRemoteCron'],
  'crontab.repair': ['allowRemoteCron'],
  'crontab.restoreBackup': ['allowRemoteCron'],
  'crontab.run': ['allowRemoteCron'],
  'crontab.kill': ['allowRemoteCron'],
  'token.create': ['allowRemoteTokens'],
  'token.rotate': ['allowRemoteTokens'],
  'token.revoke': [],
}
/** Methods that only those may call who see all programs. */
const ALL_PROGRAMS = ['supervisor.info', 'supervisor.log', 'supervisor.reread', 'audit.list', 'audit.verify']

/** Methods of admin.sock alone. */
const AT_THE_HOST = ['program.quarantine']

/** Parameters that name programs; of `program.*` their `name` does. */
const NAME_PROGRAMS: Record<string, unknown> = { select: ['worker'], process: 'worker', groups: ['worker'] }
/** Those that name users, by themselves or by what runs as them; of `program.*` their `name` does. */
const NAME_USERS = ['definition', 'entry', 'user']
/** Entries and runs of crontabs, which need a cron: test/core/crontab/methods.test.ts has them. */
const OF_CRON = ['id', 'run']
const NAME_NEITHER =
  'idempotencyKey wait timeoutMs mode maxUnavailable signal text channel lines bytes cursor cursors subscription types programs since method params ifRevision verifyMs processes revision preset show file undo schedule count key backup limit output token graceMs cascade role scopes users expiresAt name'.split(
    ' ',
  )
/** They name a program or a user, and nothing runs by them that did not before. */
const RUN_NOTHING = ['program.get', 'program.history', 'program.delete', 'crontab.list']

/** The parameters by which a method names this program. */
function programOf(name: string, { params, example }: AnyMethod, program: string): Record<string, unknown> {
  const { shape } = params
  const named = Object.entries(NAME_PROGRAMS).filter(([key]) => key in shape)
  return {
    ...Object.fromEntries(named),
    ...(name.startsWith('program.') && 'name' in shape ? { name: program } : {}),
    ...('definition' in shape
      ? { definition: { ...(example.params['definition'] as object), name: program } }
      : {}),
  }
}

const every = (isOn: boolean) => Object.fromEntries(POLICY_SWITCHES.map((name) => [name, isOn]))
const POLICIES: Record<string, Partial<Config['policy']>> = {
  'as it comes': {},
  'with every switch on': every(true),
  'with every switch off': every(false),
  'read-only': { ...every(true), readOnly: true },
  'read-only with every switch off': { ...every(false), readOnly: true },
  ...Object.fromEntries(
    POLICY_SWITCHES.map((name) => [`with ${name} alone off`, { ...every(true), [name]: false }]),
  ),
}
const AS_IT_COMES: readonly PolicySwitch[] = ['allowRemoteProgram', 'allowRemoteCron']

/** Each scope alone, all, none. */
const SCOPE_SETS: Record<string, readonly Scope[]> = {
  none: [],
  ...Object.fromEntries(SCOPES.map((scope) => [scope, [scope]])),
  all: SCOPES,
}

function waysIn(scopes: readonly Scope[]): Record<string, Principal> {
  const rights = { scopes: new Set(scopes), users: ['*'] }
  const local = localAgent({ localScopes: [], localPrograms: ['*'], localUsers: ['*'] })
  return {
    'a token': somebody(rights),
    'the panel': somebody({ ...rights, actor: 'panel', id: 'panel' }),
    'agent.sock': { ...local, ...rights },
    'admin.sock': { ...LOCAL_ADMIN, ...rights },
  }
}

let made = 0
/** The method's example as a call; one of a token asks for no more than its maker can have. */
function callOf(name: string, { example, mutating }: AnyMethod, scopes: readonly Scope[]) {
  const params = name === 'token.create' ? { name: `t-${++made}`, scopes } : { ...example.params }
  return mutating ? { ...params, idempotencyKey: `key-${String(++made).padStart(8, '0')}` } : params
}

/** The first rule that refuses, as the protocol orders them; null when none does. */
function expected(name: string, method: AnyMethod, who: Principal, policy: Partial<Config['policy']>) {
  if (method.scope !== 'any' && !who.scopes.has(method.scope)) return 'scope'
  if (AT_THE_HOST.includes(name) && !who.isAbovePolicy) return 'admin.sock'
  if (!method.mutating) return null
  if (policy.readOnly) return 'policy.readOnly'
  const off = RULES[name]?.find((rule) => !(policy[rule] ?? AS_IT_COMES.includes(rule)))
  return off === undefined ? null : `policy.${off}`
}

/** The rule that refused; null when none did, whatever came after. */
function refusal(outcome: unknown): string | null {
  if (!(outcome instanceof AgentError)) return null
  return outcome.code === 'FORBIDDEN' || outcome.code === 'POLICY_DENIED'
    ? String(outcome.facts['rule'])
    : null
}

await t.test('every method that changes something has its place here', (t) => {
  t.strictSame(
    methods.flatMap(([name, { mutating }]) => (mutating ? [name] : [])).toSorted(),
    Object.keys(RULES).toSorted(),
  )
  t.strictSame(
    methods.flatMap(([name, { allPrograms }]) => (allPrograms ? [name] : [])).toSorted(),
    ALL_PROGRAMS.filter((name) => name in METHODS).toSorted(),
  )
  for (const [name, { scope, switches = [] }] of methods) {
    if (scope === 'program' && name in RULES) t.ok(switches.includes('allowRemoteProgram'), name)
    if (scope === 'cron' && name in RULES) t.ok(switches.includes('allowRemoteCron'), name)
  }
  t.end()
})

for (const [title, policy] of Object.entries(POLICIES))
  await t.test(`a host ${title}`, async (t) => {
    const { dispatcher, context } = await parts(t, { policy })
    const settle = (name: string, params: Record<string, unknown>, source: CallSource) =>
      dispatcher.dispatch(name, params, source).catch((error: unknown) => error)
    for (const [named, scopes] of Object.entries(SCOPE_SETS))
      for (const [way, who] of Object.entries(waysIn(scopes))) {
        // ten thousands of cells: an assertion for each would take as long as all the calls
        const wrong: { cell: string; got: unknown; wanted: unknown }[] = []
        const see = (cell: string, got: unknown, wanted: unknown) => {
          if (!isDeepStrictEqual(got, wanted)) wrong.push({ cell, got, wanted })
        }
        for (const [name, method] of methods) {
          const call = callOf(name, method, scopes)
          const { idempotencyKey: _key, ...params } = { idempotencyKey: '', ...call }
          const rule = expected(name, method, who, policy)
          const isTold = who.isAbovePolicy && rule?.startsWith('policy.') === true
          const isAllowed = rule === null || isTold
          const explained = await settle('policy.explain', { method: name, params }, context(who))
          if (who.scopes.has('read')) {
            const { allowed, rule: by } = explained as Explanation
            see(`${name}: explained`, { allowed, rule: by }, { allowed: isAllowed, rule })
          } else see(`${name}: explained`, refusal(explained), 'scope')
          const outcome = await settle(name, call, context(who))
          see(name, refusal(outcome), isAllowed ? null : rule)
          if (!(outcome instanceof Error)) {
            const { warnings = [] } = outcome as { warnings?: string[] }
            see(`${name}: told`, warnings[0]?.split(': ')[0], isTold ? rule : undefined)
          }
        }
        t.strictSame(wrong, [], `over ${way} with ${named}`)
      }
  })

await t.test('every parameter that names a program or a user is known here', (t) => {
  const known = new Set([...Object.keys(NAME_PROGRAMS), ...NAME_USERS, ...OF_CRON, ...NAME_NEITHER])
  for (const [name, { params }] of methods)
    t.strictSame(
      Object.keys(params.shape).filter((key) => !known.has(key)),
      [],
      name,
    )
  t.end()
})

await t.test('the programs of a token come before the policy, and its outcome after', async (t) => {
  const host = await supervisord(t, {
    programs: { worker: { command: 'sleep 300' }, other: { command: 'sleep 300' } },
  })
  const { dispatcher, context, stack } = await parts(t, {
    url: host.url,
    policy: { ...every(false), readOnly: true },
  })
  await until(() => stack.table.get('worker') && stack.table.get('other'), 'the processes to be known')
  const ask = (name: string, params: Record<string, unknown>, who: Principal) =>
    dispatcher.dispatch(name, params, context(who)).catch((error: unknown) => error)
  const who = somebody({ scopes: new Set(SCOPES), programs: ['other'], users: ['*'] })
  const before = host.children()
  for (const [name, method] of methods) {
    const named = programOf(name, method, 'worker')
    const isNamed = Object.keys(named).length > 0
    if (!isNamed && !method.allPrograms) continue
    const call = { ...callOf(name, method, SCOPES), ...named }
    t.equal(refusal(await ask(name, call, who)), 'token.programs', name)
    const { idempotencyKey: _key, ...params } = { idempotencyKey: '', ...call }
    t.match(await ask('policy.explain', { method: name, params }, who), {
      allowed: false,
      rule: 'token.programs',
    })
    const free = await ask(name, call, { ...who, programs: ['*'] })
    t.equal(refusal(free), method.mutating ? 'policy.readOnly' : null, `${name}, with the right to it`)
  }
  const gone = { method: 'process.stop', params: { select: ['nobody'] } }
  t.match(await ask('policy.explain', gone, LOCAL_ADMIN), { allowed: true, rule: 'policy.readOnly' })
  t.strictSame(host.children(), before, 'nothing was done')
})

await t.test('the users of a token, for whatever would run as one of them', async (t) => {
  const host = await supervisord(t, { programs: { worker: { command: 'sleep 300' } } })
  const { dispatcher, context, stack } = await parts(t, {
    url: host.url,
    policy: { ...every(true), logDirectories: [host.logDir] },
  })
  await until(() => stack.table.get('worker'), 'the process to be known')
  const ask = (name: string, params: Record<string, unknown>, who: Principal) =>
    dispatcher.dispatch(name, params, context(who)).catch((error: unknown) => error)
  const definition = { name: 'mine', command: '/bin/sleep 600', autostart: false }
  const { program } = await dispatcher.dispatch(
    'program.put',
    { definition, verifyMs: 0 },
    context(LOCAL_ADMIN),
  )
  const { revision } = program as { revision: string }
  const who = somebody({ scopes: new Set(SCOPES), users: ['another'] })
  const files = () =>
    readdirSync(host.programDir).map((file) => [file, readFileSync(join(host.programDir, file), 'utf8')])
  const before = files()
  for (const [name, method] of methods) {
    const { shape } = method.params
    const named = {
      // what others made is taken over
      ...programOf(name, method, name === 'program.adopt' ? 'worker' : 'mine'),
      ...('definition' in shape ? { definition } : {}),
      ...('revision' in shape ? { revision } : {}),
      ...('user' in shape ? { user: 'root' } : {}),
      ...('entry' in shape
        ? { entry: { name: 'job', user: 'root', schedule: '@daily', command: 'true' } }
        : {}),
    }
    const isNamed = NAME_USERS.some((key) => key in shape) || (name.startsWith('program.') && 'name' in shape)
    if (!isNamed) continue
    const call = { ...callOf(name, method, SCOPES), ...named }
    const { idempotencyKey: _key, ...params } = { idempotencyKey: '', ...call }
    const isRefused = !RUN_NOTHING.includes(name)
    const explained = await ask('policy.explain', { method: name, params }, who)
    t.match(explained, { allowed: !isRefused, rule: isRefused ? 'token.users' : null }, `${name}, explained`)
    if (isRefused) t.equal(refusal(await ask(name, call, who)), 'token.users', name)
  }
  t.strictSame(files(), before, 'nothing was done')
})

await t.test('what is asked of policy.explain itself', async (t) => {
  const { dispatcher, context } = await parts(t)
  const viewer = somebody({ scopes: new Set(['read', 'control']) })
  const ask = (method: string, params?: Record<string, unknown>) =>
    dispatcher.dispatch('policy.explain', { method, ...(params ? { params } : {}) }, context(viewer))
  await t.rejects(ask('no.such'), { code: 'METHOD_NOT_FOUND' })
  await t.rejects(ask('process.stop', { select: 'web' }), { code: 'INVALID_PARAMS' })
  t.match(
    await ask('token.list', { any: 'thing' }),
    { allowed: false, rule: 'scope' },
    'no look at the parameters',
  )
  t.match(await ask('policy.explain', { method: 'policy.explain' }), { allowed: true, rule: null })
  const deployer = context(somebody({ scopes: new Set(['read', 'program']) }))
  const update = { method: 'supervisor.update', params: { groups: ['web'] } }
  t.match(
    await dispatcher.dispatch('policy.explain', update, deployer),
    { allowed: true, rule: null, text: /^allowed as far as can be told: .*supervisord has read/ },
    'what is judged only while it runs',
  )
  t.match(await ask('process.stop', { select: ['web'] }), {
    allowed: true,
    text: /it would fail now: .*SUPERVISOR_UNREACHABLE/,
  })
})
