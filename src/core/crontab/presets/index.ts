// The presets of crontab entries. A new one is a file and a line here.
import { backupFiles } from './backup-files.ts'
import { backupMysql } from './backup-mysql.ts'
import { backupPostgres } from './backup-postgres.ts'
import { certbotRenew } from './certbot-renew.ts'
import { cleanup } from './cleanup.ts'
import { custom } from './custom.ts'
import { laravelScheduler } from './laravel-scheduler.ts'
import type { EntryPreset } from './preset.ts'
import { queueRestart } from './queue-restart.ts'

export const ENTRY_PRESETS: readonly EntryPreset[] = [
  laravelScheduler,
  backupMysql,
  backupPostgres,
  backupFiles,
  cleanup,
  certbotRenew,
  queueRestart,
  custom,
]
