import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { Pins } from '../../../src/core/panel/pins.ts'
import { certificate } from '../../transports/support.ts'

await t.test('accepts the pinned certificates, however they are written, and no other', async (t) => {
  const [one, two, other] = (await Promise.all([certificate(t), certificate(t), certificate(t)])).map(
    ({ cert }) => new X509Certificate(cert),
  )
  const colons = one?.fingerprint256 ?? ''
  const bare = colons.replaceAll(':', '')
  for (const text of [colons, bare, bare.toLowerCase(), `sha256:${bare}`, `SHA256:${colons}`, ` ${bare}\n`]) {
    t.equal(Pins.parse(text)?.accepts(one), true, text)
    t.equal(Pins.parse(text)?.accepts(other), false)
    t.equal(Pins.parse(text)?.accepts(undefined), false, 'a peer without a certificate')
  }
  const both = Pins.parse(`${bare} sha256:${two?.fingerprint256}`)
  t.strictSame(
    [one, two, other].map((each) => both?.accepts(each)),
    [true, true, false],
  )
})

await t.test('is nothing when any part is no fingerprint', async (t) => {
  const pin = '5f'.repeat(32)
  const wrong = ['', ' ', 'sha256:', pin.slice(1), `${pin}0`, `sha1:${pin}`, `${pin},${pin}`, `${pin} x`]
  for (const text of [...wrong, `5f:${pin.slice(2)}`]) t.equal(Pins.parse(text), null, JSON.stringify(text))
})
