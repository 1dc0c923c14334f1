// What depends on what was before: keys, positions, and rights that end.
import { join } from 'node:path'
import * as z from 'zod'
import { Unsubscribed } from '../../../src/protocol/frames.ts'
import { createToken } from '../../fixtures/create-token.ts'
import { rewriteToken } from '../../fixtures/rewrite-token.ts'
import { until } from '../../fixtures/wait.ts'
import type { Attack, Case } from '../attack.ts'
import { wordOf } from '../wire.ts'

const Listed = z.object({ processes: z.array(z.object({ name: z.string() })) })
const Position = z.object({ epoch: z.string(), seq: z.int() })

export const states: Case[] = [
  {
    it: 'all of a token of web-* is what it may see',
    expect: 'web-1',
    async send(attack) {
      const wire = await attack.session(attack.tokens.narrow)
      const { result } = await wire.ask('process.list', {})
      return Listed.parse(result)
        .processes.map(({ name }) => name)
        .join()
    },
  },
  {
    it: 'one key twice, then with other parameters',
    expect: 'ok, ok replayed, IDEMPOTENCY_CONFLICT 1003',
    async send(attack) {
      const idempotencyKey = attack.key()
      const start = async (select: string[]) => await startWith(attack, 'operator', select, idempotencyKey)
      return [await start(['web']), await start(['web']), await start(['db'])].join(', ')
    },
  },
  {
    it: 'the key of another token',
    expect: 'ok, ok',
    async send(attack) {
      const key = attack.key()
      return [
        await startWith(attack, 'operator', ['web'], key),
        await startWith(attack, 'admin', ['db'], key),
      ].join(', ')
    },
  },
  {
    it: 'positions: of now, of another epoch, from before, from the future',
    expect: 'resumed snapshot snapshot snapshot',
    async send(attack) {
      const wire = await attack.session(attack.tokens.viewer)
      const { result } = await wire.ask('event.subscribe', {})
      const { epoch, seq } = Position.parse(result)
      const modes = []
      for (const since of [
        { epoch, seq },
        { epoch: 'another1', seq },
        { epoch: '', seq: 0 },
        { epoch, seq: seq + 1000 },
      ])
        modes.push((await wire.ask('event.subscribe', { since })).result?.['mode'])
      return modes.join(' ')
    },
  },
  {
    it: 'a token revoked in the middle of a stream',
    expect: 'close 4401, then 401',
    async send(attack) {
      const { admin } = attack.target
      const token = await createToken(admin, { name: 'shortlived', role: 'viewer' })
      const wire = await attack.session(token)
      await wire.ask('event.subscribe', {})
      await admin.call('token.revoke', { token: 'shortlived' }, { mutates: true })
      return `${await wire.close()}, then ${await attack.upgrade({ Authorization: `Bearer ${token}` })}`
    },
  },
  {
    it: 'a token downgraded in the middle of its streams',
    expect: 'e1 FORBIDDEN, l2 FORBIDDEN, FORBIDDEN 1001, ok, ok',
    isSlow: true,
    async send(attack) {
      const { admin, host } = attack.target
      const wire = await attack.session(await createToken(admin, { name: 'downgraded', role: 'operator' }))
      await wire.ask('event.subscribe', {})
      await wire.ask('log.follow', { select: ['web'] })
      await rewriteToken(join(host.folder, 'tokens.json'), 'downgraded', { scopes: ['control'] })
      const ends = await until(() => {
        const told = wire.notifications('unsubscribed')
        return told.length === 2 ? told : null
      }, 'both to end')
      const after = [
        await wire.call('event.subscribe', {}),
        await wire.call('event.unsubscribe', { subscription: 'e1' }),
        await wire.call('log.unfollow', { subscription: 'l2' }),
      ]
      return [...ends.map(({ params }) => endOf(params)), ...after].join(', ')
    },
  },
  {
    it: 'a token that expires in the middle of a stream',
    expect: 'close 4401, then 401',
    isSlow: true,
    async send(attack) {
      const expiresAt = new Date(Date.now() + 4_000).toISOString()
      const token = await createToken(attack.target.admin, { name: 'expiring', role: 'viewer', expiresAt })
      const wire = await attack.session(token)
      await wire.ask('event.subscribe', {})
      return `${await wire.close()}, then ${await attack.upgrade({ Authorization: `Bearer ${token}` })}`
    },
  },
  {
    it: 'subscriptions end with their connection',
    expect: 'the same sessions as before',
    async send(attack) {
      const before = await sessions(attack)
      for (let i = 0; i < 5; i++) {
        const wire = await attack.session(attack.tokens.viewer)
        await wire.ask('event.subscribe', {})
        await wire.ask('log.follow', { select: ['all'], channel: 'both' })
        wire.client.socket.resetAndDestroy()
      }
      await until(async () => (await sessions(attack)) === before, 'the sessions to end')
      return 'the same sessions as before'
    },
  },
]

function endOf(params: Record<string, unknown>): string {
  const { subscription, error } = Unsubscribed.parse(params)
  return `${subscription} ${error.data.name}`
}

async function startWith(
  attack: Attack,
  as: 'operator' | 'admin',
  select: string[],
  key: string,
): Promise<string> {
  const wire = await attack.session(attack.tokens[as])
  const reply = await wire.ask('process.start', { select, idempotencyKey: key })
  return `${wordOf(reply)}${reply.result?.['replayed'] === true ? ' replayed' : ''}`
}

/** Sessions as the metrics count them. */
async function sessions({ target }: Attack): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${target.port}/metrics`, {
    headers: { Authorization: `Bearer ${target.tokens.viewer}` },
  })
  return (
    /^supervisor_agent_sessions (\d+)$|agent_sessions (\d+)$/m.exec(await answer.text())?.[0] ?? 'unknown'
  )
}
