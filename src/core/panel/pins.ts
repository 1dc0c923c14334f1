import type { X509Certificate } from 'node:crypto'

const PIN = /^(?:sha256:)?((?:[0-9a-f]{2}:){31}[0-9a-f]{2}|[0-9a-f]{64})$/i

/**
 * Fingerprints of certificates that are trusted, and none else. Who issued a certificate and until when it is said to
 * be valid does not matter: that it is this one does.
 */
export class Pins {
  readonly #digests: ReadonlySet<string>

  private constructor(digests: ReadonlySet<string>) {
    this.#digests = digests
  }

  /**
   * `sha256:` and 64 hexadecimal digits, with or without colons; several between white space, for the time in which a
   * certificate is replaced.
   * @returns null when the text is anything else
   */
  static parse(text: string): Pins | null {
    const digests = text
      .trim()
      .split(/\s+/)
      .map((part) => PIN.exec(part)?.[1]?.replaceAll(':', '').toLowerCase())
    return digests.every((digest) => digest !== undefined) ? new Pins(new Set(digests)) : null
  }

  accepts(certificate: X509Certificate | undefined): boolean {
    return certificate !== undefined && this.#digests.has(digestOf(certificate))
  }
}

/** The SHA-256 fingerprint of a certificate, as a pin is written. */
export function fingerprintOf(certificate: X509Certificate): string {
  return `sha256:${digestOf(certificate)}`
}

function digestOf({ fingerprint256 }: X509Certificate): string {
  return fingerprint256.replaceAll(':', '').toLowerCase()
}
