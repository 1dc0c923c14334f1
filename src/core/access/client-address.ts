import { BlockList, isIP, SocketAddress } from 'node:net'

/** Tells the address of a client, also behind reverse proxies that we were told to trust. */
export class ClientAddresses {
  readonly #trusted: BlockList

  /**
   * `trustedProxies`: addresses and CIDR ranges.
   * @throws {Error} naming the entry that is neither
   */
  constructor(options: { trustedProxies: readonly string[] }) {
    this.#trusted = blockList(options.trustedProxies)
  }

  /**
   * The nearest address that is not a trusted proxy: `peer` is the socket's, `forwardedFor` the X-Forwarded-For
   * header, which is believed only as far as trusted proxies wrote it. Empty when the peer has gone already.
   */
  of(peer: string | undefined, forwardedFor: string | undefined): string {
    let address = normalizeAddress(peer ?? '') ?? ''
    const hops = forwardedFor?.split(',') ?? []
    while (hops.length > 0 && this.#isTrusted(address)) {
      const before = normalizeAddress(withoutPort(hops.pop() ?? ''))
      if (before === null) break // written by nobody we can name: the proxy itself answers for it
      address = before
    }
    return address
  }

  #isTrusted(address: string): boolean {
    const family = familyOf(address)
    return family !== null && this.#trusted.check(address, family)
  }
}

/** The canonical form of an address, IPv4 for IPv4 in IPv6, without a zone; null when it is none. */
export function normalizeAddress(text: string): string | null {
  const [bare = ''] = text.trim().split('%')
  const family = familyOf(bare)
  if (family === null) return null
  if (family === 'ipv4') return bare
  const { address } = new SocketAddress({ address: bare, family })
  const mapped = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : ''
  return isIP(mapped) === 4 ? mapped : address
}

/** What is counted as one client: an IPv4 address, or the /64 of an IPv6 address. */
export function networkOf(address: string): string {
  const normal = normalizeAddress(address)
  if (normal === null || familyOf(normal) === 'ipv4') return normal ?? address
  return `${groupsOf(normal).slice(0, 4).join(':')}::/64`
}

function blockList(entries: readonly string[]): BlockList {
  const list = new BlockList()
  for (const entry of entries) {
    const [address = '', bits, ...rest] = entry.split('/')
    const family = familyOf(address)
    const max = family === 'ipv4' ? 32 : 128
    const prefix = bits === undefined ? max : /^\d{1,3}$/.test(bits) ? Number(bits) : -1
    if (family === null || prefix < 0 || prefix > max || rest.length > 0)
      throw new Error(`not an address or a CIDR range: ${entry}`)
    list.addSubnet(address, prefix, family)
  }
  return list
}

function familyOf(address: string): 'ipv4' | 'ipv6' | null {
  const family = isIP(address)
  return family === 4 ? 'ipv4' : family === 6 ? 'ipv6' : null
}

function withoutPort(hop: string): string {
  const text = hop.trim()
  return /^\[(.*)\](?::\d+)?$/.exec(text)?.[1] ?? /^([^:]+):\d+$/.exec(text)?.[1] ?? text
}

/** The eight groups of a canonical IPv6 address, without leading zeros. */
function groupsOf(address: string): string[] {
  const [head = '', tail] = address.split('::')
  const front = head === '' ? [] : head.split(':')
  const back = tail === undefined || tail === '' ? [] : tail.split(':')
  const dotted = back.at(-1)?.includes('.') ? 1 : 0 // a dotted end stands for two groups
  return [...front, ...Array.from({ length: 8 - front.length - back.length - dotted }, () => '0'), ...back]
}
