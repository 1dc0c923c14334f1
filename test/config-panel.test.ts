import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { loadConfig, parseConfig } from '../src/config.ts'
import { launch } from './fixtures/agent-process.ts'

const PIN = `sha256:${'5f'.repeat(32)}`

function panel(...lines: string[]): string {
  return ['panel:', ...lines].join('\n  ')
}

const good: Record<string, string> = {
  'a panel': panel('url: wss://p.example:8443/agents', `pin: ${PIN}`, 'tokenFile: /t', 'joinTokenFile: /j'),
  'a panel with two pins': panel('url: wss://p.example', `pin: ${PIN} ${PIN.toUpperCase()}`, 'tokenFile: /t'),
  'a panel on this host': panel('url: ws://[::1]:8443', 'tokenFile: /t'),
  'a panel that is not dialled yet': panel('tokenFile: /t'),
}
for (const [it, text] of Object.entries(good))
  await t.test(`takes ${it}`, async (t) => {
    t.doesNotThrow(() => parseConfig(text, '/c.yaml'))
  })

const bad: Record<string, [string, string]> = {
  'a panel over HTTP': [panel('url: https://panel.example'), '2: panel.url: expected wss://host:port'],
  'a panel that is no address': [panel('url: panel.example'), '2: panel.url: expected wss://host:port'],
  'a panel in the clear over a network': [
    panel('url: ws://panel.example'),
    '2: panel.url: expected wss://, since ws:// is for a panel on this host: ',
  ],
  'a panel with a password in its address': [
    panel('url: wss://a:secret@panel.example'),
    '2: panel.url: expected no @: ',
  ],
  'a panel with a query': [
    panel('url: wss://panel.example/?a=b'),
    '2: panel.url: expected an address without ? and #',
  ],
  'a panel without a place for the credential': [
    panel('url: wss://panel.example', `pin: ${PIN}`),
    '2: panel.url: needs panel.tokenFile, where the credential is kept',
  ],
  'a panel without a pin': [
    panel('url: wss://panel.example', 'tokenFile: /t'),
    "2: panel.url: needs panel.pin, the fingerprint of the panel's certificate",
  ],
  'a pin without a certificate': [
    panel('url: ws://127.0.0.1:1', 'tokenFile: /t', `pin: ${PIN}`),
    '4: panel.pin: expected none: ',
  ],
  'a pin that is too short': [
    panel('pin: sha256:00ff'),
    '2: panel.pin: expected sha256: and the 64 hexadecimal digits of a fingerprint',
  ],
  'one file for both secrets of a panel': [
    panel('url: wss://p.example', `pin: ${PIN}`, 'tokenFile: /t', 'joinTokenFile: /t'),
    '5: panel.joinTokenFile: expected another file than panel.tokenFile',
  ],
}
for (const [it, [text, expected]] of Object.entries(bad))
  await t.test(`refuses ${it}, and says where and why`, async (t) => {
    const error = t.throws(() => parseConfig(text, '/c.yaml'), { name: 'ConfigError' }) as Error
    t.ok(error.message.startsWith(`/c.yaml:${expected}`), error.message)
    t.notMatch(error.message, 'secret')
  })

await t.test('the credential of a panel must have a folder, here and at the start', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'cp-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'panel.yaml')
  const check = async (tokenFile: string) => {
    writeFileSync(path, panel('url: wss://p.example', `pin: ${PIN}`, `tokenFile: ${tokenFile}`))
    return await launch(['--config', path, 'config', 'check']).outcome
  }
  t.match(await check(join(folder, 'panel.json')), { code: 0 })
  const stderr = `agent: ${path}:4: panel.tokenFile: ${folder}/none: expected a folder that is there\n`
  t.match(await check(join(folder, 'none', 'panel.json')), { code: 2, stdout: '', stderr })
  t.match(await launch(['--config', path, 'daemon']).outcome, { code: 2, stdout: '', stderr })
  t.ok(loadConfig(path), 'a command that dials nobody needs none')
})
