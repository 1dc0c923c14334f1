import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type PanelMessage, proofText, readPanelFrame } from '../../../src/protocol/panel.ts'

interface Test {
  teardown(undo: () => unknown): void
}

export async function files(t: Test): Promise<{ tokenFile: string; joinTokenFile: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'en-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return { tokenFile: join(folder, 'panel.json'), joinTokenFile: join(folder, 'join') }
}

export function newKey(): KeyObject {
  return generateKeyPairSync('ed25519').privateKey
}

/** The proof that a panel with that key gives for a challenge. */
export function proof(challenge: string, key: KeyObject, text = proofText): PanelMessage<'panel.proof'> {
  const { nonce } = read(challenge, 'panel.challenge')
  const { x = '' } = key.export({ format: 'jwk' })
  return { publicKey: x, signature: sign(null, Buffer.from(text(nonce)), key).toString('base64url') }
}

/** The parameters of a frame that must be of that name. */
export function read<N extends 'panel.challenge' | 'panel.login' | 'panel.join'>(
  frame: string,
  name: N,
): PanelMessage<N> {
  const message = readPanelFrame(frame, name)
  if (!message) throw new Error(`not ${name}: ${frame.slice(0, 60)}`)
  return message.params
}
