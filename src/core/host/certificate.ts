import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import { bitString, der, integer, octets, oid, sequence, setOf, time, utf8 } from './der.ts'

const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'))
const TRUE = der(0x01, Buffer.of(0xff))
const DAY_MS = 86_400_000
const YEARS = 10
const DNS_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/

export interface OwnCertificate {
  /** PEM. */
  cert: string
  key: string
  notAfter: Date
}

/**
 * Makes a certificate that nobody but itself vouches for, to be pinned by those who connect: P-256, for the given host
 * names and addresses, valid from a day ago, since clocks differ, for ten years.
 */
export function makeCertificate(names: readonly string[], now = Date.now()): OwnCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const [common = 'supervisor-agent'] = names
  const name = sequence(setOf(sequence(oid('2.5.4.3'), utf8(common.slice(0, 64)))))
  const notAfter = new Date(now + YEARS * 365 * DAY_MS)
  const serial = randomBytes(16)
  serial.writeUInt8((serial.readUInt8(0) & 0x7f) | 0x40) // positive, and of one length always
  const signed = sequence(
    der(0xa0, integer(Buffer.of(2))), // version 3
    integer(serial),
    ECDSA_SHA256,
    name,
    sequence(time(new Date(now - DAY_MS)), time(notAfter)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions(names))),
  )
  const signature = sign('sha256', signed, privateKey)
  const certificate = sequence(signed, ECDSA_SHA256, bitString(signature))
  return {
    cert: pem(certificate),
    key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    notAfter,
  }
}

/** What this host is called and reached by; loopback too. */
export function ownNames(): string[] {
  const addresses = Object.values(networkInterfaces())
    .flatMap((each) => each ?? [])
    .filter(({ address, internal }) => !internal && !address.startsWith('fe80:'))
    .map(({ address }) => address)
  return [...new Set([hostname(), 'localhost', '127.0.0.1', '::1', ...addresses])].filter(
    (name) => isIP(name) !== 0 || DNS_NAME.test(name),
  )
}

function extensions(names: readonly string[]): Buffer[] {
  const critical = (id: string, value: Buffer) => sequence(oid(id), TRUE, octets(value))
  return [
    critical('2.5.29.19', sequence()), // no authority over others
    critical('2.5.29.15', bitString(Buffer.of(0x80), 7)), // to sign handshakes
    sequence(oid('2.5.29.37'), octets(sequence(oid('1.3.6.1.5.5.7.3.1')))), // as a server
    sequence(oid('2.5.29.17'), octets(sequence(...names.map(alternativeName)))),
  ]
}

function alternativeName(name: string): Buffer {
  return isIP(name) === 0 ? der(0x82, Buffer.from(name)) : der(0x87, addressBytes(name))
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number))
  // the parser of URLs writes every IPv6 address in one way, without dots
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const groups = (text: string | undefined) => (text ? text.split(':') : [])
  const missing = 8 - groups(head).length - groups(tail).length
  const all = [...groups(head), ...Array.from({ length: missing }, () => '0'), ...groups(tail)]
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex')
}

function pem(certificate: Buffer): string {
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}
