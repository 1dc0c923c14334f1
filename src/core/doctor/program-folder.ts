import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { type Check, UNASKED } from './check.ts'
import { type DoctorHost, word } from './host.ts'

export const programFolder = ({ discover }: DoctorHost): Check => ({
  name: 'program-folder',
  question: 'Is there a folder for program files that the agent can write?',
  audience: 'all-programs',
  async run() {
    const { mainFile, programDir } = await discover()
    if (mainFile === null) return UNASKED
    if (programDir === null)
      return {
        severity: 'warning',
        message: `${mainFile} includes no folder that program files could be put into`,
        fix: `mkdir -p /etc/supervisor/conf.d && printf '\\n[include]\\nfiles = /etc/supervisor/conf.d/*.conf\\n' >> ${word(mainFile)}`,
      }
    const code = await access(programDir, constants.W_OK).then(
      () => null,
      (error: NodeJS.ErrnoException) => error.code ?? 'unknown',
    )
    if (code === null) return null
    return {
      severity: 'warning',
      message: `${programDir} cannot be written (${code}): programs can be looked at and controlled, not changed`,
      fix:
        code === 'EROFS'
          ? `mkdir -p /etc/systemd/system/supervisor-agent.service.d && printf '[Service]\\nReadWritePaths=%s\\n' ${word(programDir)} > /etc/systemd/system/supervisor-agent.service.d/programs.conf && systemctl daemon-reload && systemctl restart supervisor-agent`
          : `ls -ld ${word(programDir)}`,
    }
  },
})
