// Everything hostile that one connection may send, against the real daemon: each case has its one exact answer, and
// leaves the daemon, the workers and everybody else as they were.
import t from 'tap'
import { usageOf } from '../fixtures/usage.ts'
import { until } from '../fixtures/wait.ts'
import { Attack, type Case } from './attack.ts'
import { domain } from './cases/domain.ts'
import { framing } from './cases/framing.ts'
import { admission, handshake } from './cases/handshake.ts'
import { http } from './cases/http.ts'
import { jsonRpc } from './cases/json-rpc.ts'
import { states } from './cases/state.ts'
import { startTarget, type Target } from './target.ts'

const AREAS: Record<string, Case[]> = {
  http,
  handshake,
  admission,
  framing,
  'JSON-RPC': jsonRpc,
  domain,
  states,
}
const LEAST_CASES = 150
/** Rounds of the quick cases after the first: what grows with each is a leak. */
const MORE_ROUNDS = 2
/** Of resident memory, for a round of some hundred connections; V8 breathes. */
const GROWTH_BYTES = 12 * 1024 * 1024

const KEPT_MAX = 2

const all = Object.values(AREAS).flat()
let sent = 0

/** Sends a case, then looks whether the daemon is well. @returns what the outside saw of it */
async function send(target: Target, one: Case): Promise<string> {
  const attack = new Attack(target, ++sent)
  const workers = target.workers()
  let seen: string
  try {
    seen = await one.send(attack)
  } catch (error) {
    seen = `failed: ${error instanceof Error ? error.message : String(error)}`
  } finally {
    await attack.end()
  }
  if (!target.isAlive())
    throw new Error(`${one.it}: the daemon ended: ${target.agent.daemon.stderr().slice(-2000)}`)
  const status = await target.health()
  if (status !== 200) return `${seen}; /healthz ${status}`
  const { processes } = await target.bystander().call('process.list', { select: ['worker:*'] })
  if (processes.length !== 2) return `${seen}; a good call: ${JSON.stringify(processes)}`
  return target.workers() === workers ? seen : `${seen}; workers were touched`
}

await t.test('the hostile battery', async (t) => {
  const at = await startTarget(t)
  t.ok(all.length >= LEAST_CASES, `${all.length} cases`)
  t.equal(new Set(all.map(({ it }) => it)).size, all.length, 'each is another')

  const slow = Promise.all(
    all.filter(({ isSlow }) => isSlow).map(async (one) => [one, await send(at, one)] as const),
  )
  for (const [area, cases] of Object.entries(AREAS))
    await t.test(area, async (t) => {
      for (const one of cases) if (!one.isSlow) t.equal(await send(at, one), one.expect, one.it)
    })
  await t.test('what takes seconds', async (t) => {
    for (const [{ it, expect }, seen] of await slow) t.equal(seen, expect, it)
  })

  await t.test('nothing grows: neither memory nor descriptors', async (t) => {
    // connections to supervisord are kept, none to two of them, also with nothing to ask: they are in both processes
    const kept = () => usageOf(at.host.pid).descriptors.length
    const held = () => at.usage().descriptors.length - kept()
    const before = { ...at.usage(), kept: kept(), held: held() }
    const rounds = [before.rssBytes]
    for (let round = 0; round < MORE_ROUNDS; round++) {
      for (const one of all) if (!one.isSlow) await send(at, one)
      rounds.push(at.usage().rssBytes)
    }
    const grown = ((rounds.at(-1) ?? 0) - before.rssBytes) / MORE_ROUNDS
    t.ok(grown < GROWTH_BYTES, `${rounds.map((bytes) => Math.round(bytes / 2 ** 20)).join(' ')} MiB`)
    const isGivenBack = () => held() <= before.held && kept() <= before.kept + KEPT_MAX
    await until(isGivenBack, 'every descriptor to be given back').catch(() => {
      t.same(at.usage().descriptors, before.descriptors)
    })
    t.same(at.defects(), [], 'no defect in the log')
    t.ok(
      at.bystanders.every(({ state }) => state === 'connected'),
      'who kept the rules noticed nothing',
    )
  })
})
