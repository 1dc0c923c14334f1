import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import t from 'tap'
import { panelKeyOf } from '../../../src/client/index.ts'
import { hashToken } from '../../../src/core/access/token-text.ts'
import { Enrolment } from '../../../src/core/panel/enrolment.ts'
import { files, newKey, proof, read } from './support.ts'

const JOIN = `agj_${'j'.repeat(43)}`

/** An agent with a join token, and what it has on its disk. */
async function agent(t: Parameters<typeof files>[0], joinToken: string | null = JOIN) {
  const paths = await files(t)
  const giveJoinToken = (text: string) => writeFile(paths.joinTokenFile, `${text}\n`, { mode: 0o600 })
  if (joinToken !== null) await giveJoinToken(joinToken)
  return {
    ...paths,
    giveJoinToken,
    /** As after a restart. */
    enrolment: () => new Enrolment({ files: paths, agent: 'web-1', version: '1.0.0' }),
    credential: async () => JSON.parse(await readFile(paths.tokenFile, 'utf8')) as Record<string, string>,
    hasJoinToken: () =>
      stat(paths.joinTokenFile).then(
        () => true,
        () => false,
      ),
  }
}

await t.test('joins once, then logs in', async (t) => {
  const key = newKey()
  const { enrolment, credential, tokenFile, hasJoinToken } = await agent(t)
  const first = await enrolment().prepare()
  const join = read(await first.answer(proof(first.challenge, key)), 'panel.join')
  t.match(join, { agent: 'web-1', version: '1.0.0', joinToken: JOIN })
  const { token = '', panelKey, joinedAt } = await credential()
  t.equal(join.hash, hashToken(token), 'the panel learns the hash alone')
  t.equal(panelKey, proof(first.challenge, key).publicKey, 'its key is kept')
  t.equal(joinedAt, undefined, 'and binds from the welcome on')
  t.equal(await hasJoinToken(), true)
  await first.welcomed()
  t.ok((await credential())['joinedAt'])
  t.equal((await credential())['token'], token)
  t.equal((await stat(tokenFile)).mode & 0o777, 0o600)
  t.equal(await hasJoinToken(), false, 'removed after use')

  const later = await enrolment().prepare()
  t.equal(read(await later.answer(proof(later.challenge, key)), 'panel.login').token, token)
  t.not(later.challenge, first.challenge, 'a nonce is used once')
})

type Key = ReturnType<typeof newKey>
const lies = [
  {
    it: 'a signature of another nonce',
    proof: (_challenge: string, other: string, key: Key) => proof(other, key),
  },
  {
    it: 'a signature by another key than it shows',
    proof: (challenge: string, _other: string, key: Key) => ({
      ...proof(challenge, newKey()),
      publicKey: proof(challenge, key).publicKey,
    }),
  },
  {
    it: 'a signature of the bare nonce',
    proof: (challenge: string, _other: string, key: Key) => proof(challenge, key, (nonce) => nonce),
  },
  {
    it: 'a key that is no point of the curve',
    proof: (challenge: string, _other: string, key: Key) => ({
      ...proof(challenge, key),
      publicKey: Buffer.alloc(32, 0xff).toString('base64url'),
    }),
  },
]
for (const { it, proof: lie } of lies)
  await t.test(`shows nothing to a panel with ${it}`, async (t) => {
    const key = newKey()
    const { enrolment, tokenFile } = await agent(t)
    const [attempt, other] = [await enrolment().prepare(), await enrolment().prepare()]
    await t.rejects(attempt.answer(lie(attempt.challenge, other.challenge, key)), {
      name: 'PanelError',
      message: "the panel's signature of our nonce is wrong",
    })
    await t.rejects(stat(tokenFile), { code: 'ENOENT' })
  })

await t.test(
  'shows nothing to a panel with another key than the pinned one, join token or not',
  async (t) => {
    const { enrolment, credential, giveJoinToken } = await agent(t)
    const first = await enrolment().prepare()
    await first.answer(proof(first.challenge, newKey()))
    await first.welcomed()
    const before = await credential()
    await giveJoinToken(JOIN)
    const same = enrolment()
    for (const isAfterRefusal of [false, true]) {
      const attempt = await same.prepare()
      await t.rejects(attempt.answer(proof(attempt.challenge, newKey())), {
        message: /another key than the one/,
      })
      t.strictSame(await credential(), before, `after a refusal: ${isAfterRefusal}`)
      attempt.refused()
    }
  },
)

await t.test('a crash after the join costs nothing, whether the panel took it or not', async (t) => {
  const key = newKey()
  const { enrolment, credential, hasJoinToken } = await agent(t)
  const crashed = await enrolment().prepare()
  const { hash } = read(await crashed.answer(proof(crashed.challenge, key)), 'panel.join')

  const restarted = enrolment()
  const login = await restarted.prepare()
  const { token } = read(await login.answer(proof(login.challenge, key)), 'panel.login')
  t.equal(hashToken(token), hash, 'the panel may have taken it: tried first')
  login.refused()
  const again = await restarted.prepare()
  read(await again.answer(proof(again.challenge, key)), 'panel.join')
  again.refused()
  const next = await restarted.prepare()
  read(await next.answer(proof(next.challenge, key)), 'panel.login')
  await next.welcomed()
  t.ok((await credential())['joinedAt'])
  t.equal(await hasJoinToken(), false)
})

await t.test('the key that is pinned is that of the panel that took the agent', async (t) => {
  const [asked, right] = [newKey(), newKey()]
  const { enrolment, credential, hasJoinToken } = await agent(t)
  const first = await enrolment().prepare()
  await first.answer(proof(first.challenge, asked))
  t.equal((await credential())['panelKey'], panelKeyOf(asked))

  const second = await enrolment().prepare()
  await second.answer(proof(second.challenge, right))
  await second.welcomed()
  t.equal((await credential())['panelKey'], panelKeyOf(right), 'a key that nobody confirmed binds nobody')
  t.equal(await hasJoinToken(), false)
  const third = await enrolment().prepare()
  await t.rejects(third.answer(proof(third.challenge, asked)), { message: /another key than the one/ })
  const fourth = await enrolment().prepare()
  await t.resolves(fourth.answer(proof(fourth.challenge, right)))
})

/** An agent that a panel has taken, and what it does on one connection after the other. */
async function joined(t: Parameters<typeof files>[0]) {
  const key = newKey()
  const parts = await agent(t)
  const attempts = (enrolment: Enrolment) => async (kind: 'panel.join' | 'panel.login') => {
    const attempt = await enrolment.prepare()
    const frame = read(await attempt.answer(proof(attempt.challenge, key)), kind)
    return { ...attempt, hash: 'hash' in frame ? frame.hash : hashToken(frame.token) }
  }
  const first = await attempts(parts.enrolment())('panel.join')
  await first.welcomed()
  return { ...parts, first, attempts }
}

await t.test('a refused credential is replaced by a new join token, and the key stays pinned', async (t) => {
  const { enrolment, credential, giveJoinToken, hasJoinToken, first, attempts } = await joined(t)
  const next = attempts(enrolment())
  const { joinedAt, panelKey } = await credential()
  for (let n = 0; n < 2; n++) (await next('panel.login')).refused()
  await giveJoinToken(JOIN)
  const join = await next('panel.join')
  t.not(join.hash, first.hash)
  await join.welcomed()
  const { token = '', ...rest } = await credential()
  t.equal(hashToken(token), join.hash)
  t.strictSame(rest, { version: 1, panelKey, joinedAt })
  t.equal(await hasJoinToken(), false)
})

await t.test('a later join that fails leaves the credential that there was', async (t) => {
  for (const isRefused of [true, false])
    await t.test(isRefused ? 'refused' : 'broken off', async (t) => {
      const { enrolment, credential, giveJoinToken, hasJoinToken, first, attempts } = await joined(t)
      const { token: before } = await credential()
      const next = attempts(enrolment())
      await giveJoinToken(JOIN)
      const refused = await next('panel.login')
      refused.refused()
      const join = await next('panel.join')
      t.equal((await credential())['token'], before)
      if (isRefused) join.refused()
      else {
        const login = await next('panel.login')
        t.equal(login.hash, join.hash, 'the panel may have taken it: tried first')
        login.refused()
      }
      const login = await next('panel.login')
      t.equal(login.hash, first.hash, 'and the former one where it has not')
      await login.welcomed()
      const { token, nextToken } = await credential()
      t.strictSame({ token, nextToken }, { token: before, nextToken: undefined })
      t.equal(await hasJoinToken(), true, 'kept: no panel took it')
    })
})

await t.test('a later join that the panel took, and did not come to say so', async (t) => {
  const { enrolment, credential, giveJoinToken, hasJoinToken, attempts } = await joined(t)
  const { joinedAt } = await credential()
  const next = attempts(enrolment())
  await giveJoinToken(JOIN)
  const refused = await next('panel.login')
  refused.refused()
  const { hash } = await next('panel.join')

  const login = await attempts(enrolment())('panel.login')
  t.equal(login.hash, hash)
  await login.welcomed()
  const { token = '', nextToken, joinedAt: after } = await credential()
  t.strictSame({ hash: hashToken(token), nextToken, after }, { hash, nextToken: undefined, after: joinedAt })
  t.equal(await hasJoinToken(), false, 'used')
})

await t.test('a join token for later is not removed by a login', async (t) => {
  const { enrolment, giveJoinToken, hasJoinToken, attempts } = await joined(t)
  await giveJoinToken(JOIN)
  const login = await attempts(enrolment())('panel.login')
  await login.welcomed()
  t.equal(await hasJoinToken(), true)
})

await t.test('says what is missing or wrong, and never what is in a file', async (t) => {
  const secret = 'planted-secret-planted-secret'
  const none = await agent(t, null)
  await t.rejects(none.enrolment().prepare(), {
    name: 'PanelError',
    message: /neither a credential in .* nor a join token/,
  })
  const [join, token] = ['joinTokenFile', 'tokenFile'] as const
  const other = JSON.stringify({ version: 1, token: secret, panelKey: 'x' })
  const cases = [
    { it: 'a join token others can read', file: join, text: secret, mode: 0o644, says: /mode is 0644/ },
    { it: 'a join token that is short', file: join, text: 'short', mode: 0o600, says: /16 to 256/ },
    { it: 'two join tokens', file: join, text: `${secret}\n${secret}`, mode: 0o600, says: /16 to 256/ },
    { it: 'a credential others can read', file: token, text: secret, mode: 0o640, says: /mode is 0640/ },
    { it: 'a credential that is not JSON', file: token, text: secret, mode: 0o600, says: /not JSON/ },
    { it: 'a credential of another form', file: token, text: other, mode: 0o600, says: /token: not a cred/ },
  ]
  for (const { it, file, text, mode, says } of cases)
    await t.test(it, async (t) => {
      const { enrolment, [file]: path } = await agent(t)
      await writeFile(path, text)
      await chmod(path, mode)
      const error = await enrolment()
        .prepare()
        .catch((thrown: unknown) => thrown)
      t.match(error, { name: 'PrivateFileError', message: says })
      t.notMatch(String(error), secret)
      t.match(String(error), path)
    })
})
