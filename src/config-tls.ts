import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import type { Config } from './config.ts'

/**
 * Finds out whether a server could be opened with these files.
 * @returns the key of `listen.tls` that cannot be used and why, without anything of what is in the file; null when all can
 */
export function tlsProblem({
  cert,
  key,
  clientCa,
}: Config['listen']['tls']): { key: 'cert' | 'key' | 'clientCa'; text: string } | null {
  const texts: Record<string, string> = {}
  for (const [name, path] of [
    ['cert', cert],
    ['key', key],
    ['clientCa', clientCa],
  ] as const) {
    if (path === '') continue
    try {
      texts[name] = readFileSync(path, 'utf8')
    } catch (error) {
      return { key: name, text: `cannot read ${path}: ${(error as NodeJS.ErrnoException).code}` }
    }
    const isKey = name === 'key'
    if (!(isKey ? isPrivateKey(texts[name]) : areCertificates(texts[name])))
      return {
        key: name,
        text: `${path}: expected ${isKey ? 'a private key without a passphrase' : 'certificates'} in PEM`,
      }
  }
  if (cert === '' || key === '') return null
  try {
    createSecureContext({ cert: texts['cert'], key: texts['key'] })
    return null
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const isOther = code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH'
    return { key: 'key', text: `${key}: ${isOther ? `expected the key of ${cert}` : message}` }
  }
}

function isPrivateKey(text: string): boolean {
  return isTaken(() => createPrivateKey(text))
}

function areCertificates(text: string): boolean {
  const blocks = text.match(/-----BEGIN[^-]*CERTIFICATE-----.*?-----END[^-]*CERTIFICATE-----/gs)
  return blocks !== null && isTaken(() => blocks.map((block) => new X509Certificate(block)))
}

function isTaken(parse: () => unknown): boolean {
  try {
    parse()
    return true
  } catch {
    return false
  }
}
