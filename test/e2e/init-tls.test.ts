import { X509Certificate } from 'node:crypto'
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { newConfig } from '../../src/cli/commands/init-tls.ts'
import { connect } from '../../src/client/index.ts'
import { parseConfig } from '../../src/config.ts'
import { AgentProcess, launch } from '../fixtures/agent-process.ts'
import { supervisord } from '../fixtures/supervisord.ts'

await t.test('agent init makes a certificate, and a client that pins it reaches the agent', async (t) => {
  const host = await supervisord(t, { programs: { web: { command: 'sleep 600' } } })
  const agent = new AgentProcess(host)
  t.teardown(async () => {
    if (agent.isRunning) await agent.stop('SIGKILL')
  })
  const [cert, key] = [join(host.folder, 'tls', 'cert.pem'), join(host.folder, 'tls', 'key.pem')]
  const fingerprint = () =>
    `sha256:${new X509Certificate(readFileSync(cert)).fingerprint256.replaceAll(':', '').toLowerCase()}`

  await t.test('it prints the fingerprint', async (t) => {
    const { code, stdout } = await agent.run('init')
    t.equal(code, 0)
    t.match(stdout, `made a certificate ${cert}\n  ${fingerprint()}\n`)
    t.match(stdout, `listen.tls: { cert: ${cert}, key: ${key} }`)
    t.equal(statSync(key).mode & 0o777, 0o600)
    t.equal(statSync(cert).mode & 0o777, 0o644)
  })

  await t.test('it never replaces one', async (t) => {
    const before = readFileSync(cert, 'utf8')
    const { stdout } = await agent.run('--json', 'init')
    t.match(JSON.parse(stdout), {
      certificate: { cert, key, fingerprint: fingerprint(), made: false, used: false },
    })
    t.equal(readFileSync(cert, 'utf8'), before)
    rmSync(key)
    const { code, stdout: said } = await agent.run('init')
    t.equal(code, 1)
    t.match(said, `no certificate: ${cert} is there without ${key}: remove it or bring both`)
    t.equal(readFileSync(cert, 'utf8'), before)
    rmSync(cert)
    t.match(await agent.run('init'), { code: 0, stdout: /made a certificate/ })
  })

  const config = readFileSync(agent.configFile, 'utf8')
  const listening = (more: string) =>
    writeFileSync(agent.configFile, config.replace('port: 0 }', `port: 0, host: 0.0.0.0${more} }`))

  await t.test('without it the daemon does not listen where others could read a token', async (t) => {
    listening('')
    const { code, stderr } = await agent.run('daemon')
    t.equal(code, 2)
    t.equal(
      stderr,
      `agent: ${agent.configFile}:6: listen.host: an address that others can reach needs listen.tls, ` +
        'or tokens could be read on the way\n',
    )
  })

  await t.test('with it the daemon does, and the pin lets in', async (t) => {
    listening(`, tls: { cert: ${cert}, key: ${key} }`)
    const token = (await agent.run('-q', 'token', 'create', 'panel', '--role', 'viewer')).stdout.trim()
    await agent.start()
    const info = JSON.parse((await agent.run('--json', 'info')).stdout) as {
      listen: { port: number; tls: boolean }
    }
    t.equal(info.listen.tls, true)
    const url = `wss://127.0.0.1:${info.listen.port}`
    const client = await connect({ url, token, ca: readFileSync(cert, 'utf8'), reconnect: false })
    t.match(await client.call('agent.info', {}), { name: 'test-host', listen: { tls: true } })
    await client.close()
    await t.rejects(connect({ url, token, reconnect: false }), {
      name: 'ConnectionError',
      message: /self-signed/,
    })
    const tokenFile = join(host.folder, 'token')
    writeFileSync(tokenFile, token, { mode: 0o600 })
    t.match(await launch(['--url', url, '--token-file', tokenFile, '--ca', cert, 'version']).outcome, {
      code: 0,
    })
    t.match(await launch(['--url', url, '--token-file', tokenFile, '--ca', cert, 'info']).outcome, {
      code: 0,
    })
    t.match(await agent.run('init'), { stdout: `certificate ${cert}\n  ${fingerprint()}\n` })
  })
})

await t.test('a new config says where the certificate is', async (t) => {
  const text = newConfig('/srv/agent.yaml')
  t.match(text, "  tls:\n    # made by agent init: /srv/tls/cert.pem and /srv/tls/key.pem\n    cert: ''\n")
  t.strictSame(parseConfig(text, '/srv/agent.yaml'), parseConfig('', '/srv/agent.yaml'))
})
