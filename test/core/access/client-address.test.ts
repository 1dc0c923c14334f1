import t from 'tap'
import { ClientAddresses, networkOf, normalizeAddress } from '../../../src/core/access/client-address.ts'

const trustedProxies = ['10.0.0.0/8', '2001:db8:1::/48', '192.0.2.7']
const cases = [
  { it: 'the peer when nothing is forwarded', peer: '198.51.100.1', header: undefined, is: '198.51.100.1' },
  {
    it: 'a stranger who claims another address',
    peer: '198.51.100.1',
    header: '127.0.0.1',
    is: '198.51.100.1',
  },
  { it: 'the client of a trusted proxy', peer: '10.1.1.1', header: '203.0.113.9', is: '203.0.113.9' },
  { it: 'the client of a proxy named alone', peer: '192.0.2.7', header: '203.0.113.9', is: '203.0.113.9' },
  { it: 'the proxy when it forwards nothing', peer: '10.1.1.1', header: undefined, is: '10.1.1.1' },
  {
    it: 'the rightmost untrusted hop',
    peer: '10.1.1.1',
    header: '127.0.0.1, 203.0.113.9',
    is: '203.0.113.9',
  },
  { it: 'past two proxies', peer: '10.1.1.1', header: '8.8.8.8, 203.0.113.9,10.2.2.2', is: '203.0.113.9' },
  {
    it: 'the first proxy when all are trusted',
    peer: '10.1.1.1',
    header: '10.3.3.3, 10.2.2.2',
    is: '10.3.3.3',
  },
  {
    it: 'the proxy when the hop is no address',
    peer: '10.1.1.1',
    header: '203.0.113.9, evil',
    is: '10.1.1.1',
  },
  { it: 'the proxy when the header is empty', peer: '10.1.1.1', header: '', is: '10.1.1.1' },
  { it: 'a hop with a port', peer: '10.1.1.1', header: '203.0.113.9:4711', is: '203.0.113.9' },
  { it: 'an IPv6 hop in brackets', peer: '10.1.1.1', header: '[2001:DB8::9]:80', is: '2001:db8::9' },
  { it: 'a proxy seen as IPv4 in IPv6', peer: '::ffff:10.1.1.1', header: '203.0.113.9', is: '203.0.113.9' },
  { it: 'an IPv6 proxy', peer: '2001:db8:1::5', header: '203.0.113.9', is: '203.0.113.9' },
  { it: 'a client as IPv4 in IPv6', peer: '::ffff:198.51.100.1', header: undefined, is: '198.51.100.1' },
  { it: 'nobody when the peer has gone', peer: undefined, header: '203.0.113.9', is: '' },
]
for (const { it, peer, header, is } of cases)
  await t.test(`tells ${it}`, async (t) => {
    t.equal(new ClientAddresses({ trustedProxies }).of(peer, header), is)
  })

await t.test('with no trusted proxy the header is never read', async (t) => {
  t.equal(new ClientAddresses({ trustedProxies: [] }).of('127.0.0.1', '203.0.113.9'), '127.0.0.1')
})

for (const entry of [
  'proxy.example',
  '10.0.0.0/33',
  '::/129',
  '10.0.0.0/8/8',
  '10.0.0.0/',
  '',
  '10.0.0.0/-1',
])
  await t.test(`refuses ${JSON.stringify(entry)} as a trusted proxy`, async (t) => {
    t.throws(() => new ClientAddresses({ trustedProxies: [entry] }), /not an address or a CIDR range/)
  })

const normal = [
  ['::ffff:7f00:1', '127.0.0.1'],
  ['0:0:0:0:0:0:0:1', '::1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['2001:DB8::A', '2001:db8::a'],
  ['1.2.3', null],
  ['01.2.3.4', null],
  ['', null],
] as const
for (const [text, is] of normal)
  await t.test(`normalises ${JSON.stringify(text)} to ${is}`, async (t) => {
    t.equal(normalizeAddress(text), is)
  })

const networks = [
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0db8:1:2::9', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['1::', '1:0:0:0::/64'],
  ['::1.2.3.4', '0:0:0:0::/64'],
] as const
for (const [address, network] of networks)
  await t.test(`counts ${address} as ${network}`, async (t) => {
    t.equal(networkOf(address), network)
  })
