import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { connect, createServer } from 'node:tls'
import { promisify } from 'node:util'
import t from 'tap'
import { makeCertificate, ownNames } from '../../../src/core/host/certificate.ts'
import { folder } from '../../transports/support.ts'

const run = promisify(execFile)
const DAY_MS = 86_400_000

await t.test('openssl takes it, strictly, and reads what was meant', async (t) => {
  const path = join(await folder(t), 'cert.pem')
  const now = Date.UTC(2026, 10, 22)
  const names = ['web-1.example', 'localhost', '192.0.2.7', '::1', '2001:db8::5:0:1', '2001:db8:1:2:3:4:5:6']
  const { cert, notAfter } = makeCertificate(names, now)
  writeFileSync(path, cert)
  await t.resolves(run('openssl', ['verify', '-x509_strict', '-CAfile', path, path]))
  const { stdout } = await run('openssl', ['x509', '-in', path, '-noout', '-text'])
  for (const part of [
    'Version: 3',
    'CA:FALSE',
    'TLS Web Server Authentication',
    'Not Before: Nov 21 00:00:00 2026 GMT',
    'Not After : Nov 19 00:00:00 2036 GMT',
    'Subject: CN = web-1.example',
    'DNS:web-1.example, DNS:localhost, IP Address:192.0.2.7, IP Address:0:0:0:0:0:0:0:1, ' +
      'IP Address:2001:DB8:0:0:0:5:0:1, IP Address:2001:DB8:1:2:3:4:5:6',
  ])
    t.match(stdout, part)
  t.equal(new X509Certificate(cert).validTo, 'Nov 19 00:00:00 2036 GMT')
  t.equal(notAfter.toISOString(), '2036-11-19T00:00:00.000Z')
})

await t.test('years on either side of 2050 are written as they must be', async (t) => {
  for (const year of [2026, 2039, 2040, 2041, 2060]) {
    const now = Date.UTC(year, 5, 1)
    const { validFrom, validTo } = new X509Certificate(makeCertificate(['x'], now).cert)
    t.equal(Date.parse(validFrom), now - DAY_MS)
    t.equal(Date.parse(validTo), now + 3650 * DAY_MS)
  }
})

await t.test('each has a key and a positive serial of its own', async (t) => {
  const made = Array.from({ length: 50 }, () => new X509Certificate(makeCertificate(['localhost']).cert))
  t.equal(new Set(made.map(({ fingerprint256 }) => fingerprint256)).size, 50)
  t.ok(made.every(({ serialNumber }) => /^[4-7][0-9A-F]{31}$/.test(serialNumber)))
})

await t.test('a client that pins it is let in at its names, and nobody else is believed', async (t) => {
  const [own, other] = [
    makeCertificate(['localhost', '127.0.0.1']),
    makeCertificate(['localhost', '127.0.0.1']),
  ]
  const server = createServer({ cert: own.cert, key: own.key, minVersion: 'TLSv1.3' }, (socket) => {
    socket.on('error', () => undefined).end()
  })
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const attempt = async (options: { ca?: string; servername?: string }) => {
    const socket = connect({ port, host: '127.0.0.1', ...options })
    try {
      await once(socket, 'secureConnect')
      return 'open'
    } catch (error) {
      return (error as NodeJS.ErrnoException).code
    } finally {
      socket.destroy()
    }
  }
  t.equal(await attempt({ ca: own.cert }), 'open')
  t.equal(await attempt({ ca: own.cert, servername: 'localhost' }), 'open')
  t.equal(await attempt({ ca: own.cert, servername: 'other.example' }), 'ERR_TLS_CERT_ALTNAME_INVALID')
  t.equal(await attempt({ ca: other.cert }), 'DEPTH_ZERO_SELF_SIGNED_CERT')
  t.equal(await attempt({}), 'DEPTH_ZERO_SELF_SIGNED_CERT')
})

await t.test('the names of this host can all be in a certificate', async (t) => {
  const names = ownNames()
  t.ok(['localhost', '127.0.0.1', '::1'].every((name) => names.includes(name)))
  const { subjectAltName } = new X509Certificate(makeCertificate(names).cert)
  t.equal(subjectAltName?.split(', ').length, names.length)
})
