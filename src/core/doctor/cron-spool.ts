import { constants } from 'node:fs'
import { access, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { packagedFile } from '../../packaged.ts'
import { formerSpools } from '../crontab/former-spool.ts'
import { type Check, type Fault, UNASKED } from './check.ts'
import { entryRecords } from './cron-owners.ts'
import { type DoctorConfig, word } from './host.ts'

/** Above it `cronrun` keeps no more results. */
const FULL_FILES = 1_000
/** Others may write there. */
const OPEN = 0o022

export const cronSpool = (
  { config }: { config: Pick<DoctorConfig, 'stateDir' | 'spoolDir'> },
  fullFiles = FULL_FILES,
): Check => ({
  name: 'cron-spool',
  question: 'Do the crontab entries of the agent find what they run, and room for their results?',
  audience: 'all-programs',
  async run() {
    const records = await entryRecords(config.stateDir)
    if (records.length === 0) return UNASKED
    const { spoolDir } = config
    const shim = join(spoolDir, '.bin/cronrun')
    const install = `install -D -m 755 ${word(packagedFile('assets/cronrun'))} ${word(shim)}`
    const faults: Fault[] = []
    const found = await stat(shim).catch(() => null)
    if (!found || (found.mode & 0o001) === 0)
      faults.push({
        severity: 'failure',
        message: `${shim} ${found ? 'cannot be run by users' : 'is missing'}: crontab entries do nothing`,
        fix: install,
      })
    else if (!(await runs(shim)))
      faults.push({
        severity: 'failure',
        message: `nothing can be run from ${spoolDir}: crontab entries do nothing`,
        evidence: `${shim} has the mode of a program, and its disk lets none run (noexec)`,
        fix: `mount -o remount,exec "$(findmnt -no TARGET -T ${word(spoolDir)})"`,
      })
    for (const path of [spoolDir, join(spoolDir, '.bin'), shim]) {
      const stats = await stat(path).catch(() => null)
      if (stats && ((stats.mode & OPEN) !== 0 || stats.uid !== process.getuid?.()))
        faults.push({
          severity: 'failure',
          message: `${path} can be changed by others: what runs for every user with entries lies there`,
          evidence: `mode ${(stats.mode & 0o7777).toString(8).padStart(4, '0')}, owner ${stats.uid}`,
          fix: `chown root: ${word(path)} && chmod go-w ${word(path)}`,
        })
    }
    for (const { user, lines } of records) {
      const former = formerSpools(lines, spoolDir)
      if (former.length > 0)
        faults.push({
          severity: 'warning',
          message: `entries of ${user} leave their results in a former spoolDir, where nobody reads them: ${former.map(({ id }) => id).join(' ')}`,
          evidence: `their lines name ${[...new Set(former.map(({ folder }) => folder))].join(', ')}, and spoolDir is ${spoolDir}`,
          fix: `agent cron repair ${user}`,
        })
      const folder = join(spoolDir, user)
      const waiting = await readdir(folder).catch(() => [])
      if (waiting.length > fullFiles)
        faults.push({
          severity: 'warning',
          message: `${folder} is full: jobs of ${user} run, and what comes of them is not kept`,
          evidence: `${waiting.length} files`,
          fix: 'systemctl restart supervisor-agent',
        })
    }
    return faults
  },
})

function runs(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}
