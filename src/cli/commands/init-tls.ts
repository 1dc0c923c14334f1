import { X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Config } from '../../config.ts'
import { makeCertificate, ownNames } from '../../core/host/certificate.ts'
import { fingerprintOf } from '../../core/panel/pins.ts'
import { writeFileAtomic } from '../../lib/atomic-file.ts'
import { packagedFile } from '../../packaged.ts'

/** The certificate that this host has for its TCP listener. */
export interface HostCertificate {
  cert: string
  key: string
  /** SHA-256, as clients pin it. */
  fingerprint: string
  made: boolean
  /** The config names it. */
  used: boolean
}

/** Where `agent init` puts a certificate of its own: beside the config file. */
function ownCertificatePaths(configFile: string): { cert: string; key: string } {
  const folder = join(dirname(resolve(configFile)), 'tls')
  return { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
}

/**
 * The certificate that the config names, or one of the host's own beside the config file, which is made unless it is
 * there. What is there is never replaced: clients have pinned it.
 * @throws {Error} when it cannot be read or written, or when only half of it is there
 */
export async function hostCertificate(config: Config, configFile: string): Promise<HostCertificate> {
  const { tls } = config.listen
  if (tls.cert !== '') return { ...named(tls.cert, tls.key), made: false, used: true }
  const { cert, key } = ownCertificatePaths(configFile)
  const isThere = existsSync(cert)
  if (isThere !== existsSync(key))
    throw new Error(
      `${isThere ? cert : key} is there without ${isThere ? key : cert}: remove it or bring both`,
    )
  if (!isThere) {
    const made = makeCertificate(ownNames())
    mkdirSync(dirname(cert), { recursive: true, mode: 0o755 })
    await writeFileAtomic(key, made.key, 0o600)
    await writeFileAtomic(cert, made.cert, 0o644)
  }
  return { ...named(cert, key), made: !isThere, used: false }
}

function named(cert: string, key: string): { cert: string; key: string; fingerprint: string } {
  return { cert, key, fingerprint: fingerprintOf(new X509Certificate(readFileSync(cert))) }
}

/** What `agent init` says of it. */
export function certificateText({ cert, key, fingerprint, made, used }: HostCertificate): string {
  const what = `${made ? 'made a certificate' : 'certificate'} ${cert}\n  ${fingerprint}`
  return used
    ? what
    : `${what}\n  for other addresses than loopback: listen.tls: { cert: ${cert}, key: ${key} }`
}

/** The text of a config file at that path: the example, with a word on the certificate that is made beside it. */
export function newConfig(path: string): string {
  const { cert, key } = ownCertificatePaths(path)
  return readFileSync(packagedFile('config.example.yaml'), 'utf8').replace(
    /^ {2}tls:\n/m,
    `  tls:\n    # made by agent init: ${cert} and ${key}\n`,
  )
}
