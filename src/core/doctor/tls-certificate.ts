import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isoTime } from '../../lib/iso-time.ts'
import { type Check, UNASKED } from './check.ts'
import { type DoctorHost, word } from './host.ts'

const DAY_MS = 24 * 3_600_000
const SOON_MS = 30 * DAY_MS

export const tlsCertificate = ({ config }: DoctorHost): Check => ({
  name: 'tls-certificate',
  question: 'Is the certificate of the WebSocket good for a while?',
  audience: 'all-programs',
  async run() {
    const path = config.listen.tls.cert
    if (path === '') return UNASKED
    const { validFrom, validTo } = new X509Certificate(await readFile(path))
    const [from, to] = [new Date(validFrom), new Date(validTo)]
    const leftMs = to.getTime() - Date.now()
    const isEarly = from.getTime() > Date.now()
    if (leftMs > SOON_MS && !isEarly) return null
    const ends = isEarly
      ? `is good from ${isoTime(from.getTime())} on`
      : `${leftMs < 0 ? 'ended' : 'ends'} at ${isoTime(to.getTime())}`
    return {
      severity: leftMs < 0 || isEarly ? 'failure' : 'warning',
      message: `the certificate ${path} ${ends}: clients refuse it ${leftMs < 0 || isEarly ? 'now' : 'then'}`,
      fix: `openssl x509 -in ${word(path)} -noout -dates; date -u`,
    }
  },
})
