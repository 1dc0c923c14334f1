import { createPrivateKey, createPublicKey, randomBytes, sign, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'
import { panelKeyOf } from '../../../src/client/index.ts'
import { proofText, readPanelFrame } from '../../../src/protocol/panel.ts'

const PAPER = readFileSync(resolve(import.meta.dirname, '../../../docs/panel.md'), 'utf8')
/** The first key pair of RFC 8032, 7.1. */
const SECRET = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60'
const PUBLIC = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'

await t.test('the signature in docs/panel.md is what its text says', async (t) => {
  const frames = [...PAPER.matchAll(/^ *(\{"jsonrpc".*\})$/gm)].map(([, frame = '']) => frame)
  t.equal(frames.length, 5)
  const challenge = readPanelFrame(frames[0] ?? '', 'panel.challenge')
  const proof = readPanelFrame(frames[1] ?? '', 'panel.proof')
  const bytes = (hex: string) => Buffer.from(hex, 'hex').toString('base64url')
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: bytes(PUBLIC) }
  const key = createPrivateKey({ key: { ...jwk, d: bytes(SECRET) }, format: 'jwk' })
  const text = Buffer.from(proofText(challenge?.params.nonce ?? ''))
  t.equal(proof?.params.publicKey, panelKeyOf(key))
  t.equal(proof?.params.signature, sign(null, text, key).toString('base64url'))
  const given = Buffer.from(proof?.params.signature ?? '', 'base64url')
  t.equal(verify(null, text, createPublicKey({ key: jwk, format: 'jwk' }), given), true)
  t.equal(text.toString(), `supervisor-agent panel proof v1\n${challenge?.params.nonce}`)
})

await t.test('a key and a signature have one text each', async (t) => {
  const [publicKey, signature] = [randomBytes(32), randomBytes(64)].map((bytes) =>
    bytes.toString('base64url'),
  )
  const isRead = (params: object) =>
    readPanelFrame(JSON.stringify({ jsonrpc: '2.0', method: 'panel.proof', params }), 'panel.proof') !== null
  t.ok(isRead({ publicKey, signature }))
  const twins = (text = '') =>
    Array.from(
      'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_',
      (last) => text.slice(0, -1) + last,
    )
      .filter((twin) => twin !== text)
      .filter((twin) => Buffer.from(twin, 'base64url').equals(Buffer.from(text, 'base64url')))
  t.equal(twins(publicKey).length, 3, 'others that name the same bytes')
  for (const twin of twins(publicKey)) t.notOk(isRead({ publicKey: twin, signature }), 'of a key')
  t.equal(twins(signature).length, 15)
  for (const twin of twins(signature)) t.notOk(isRead({ publicKey, signature: twin }), 'of a signature')
})
