import { fastStatus } from './cli/fast-status.ts'
import { keepSmall, plainDaemon } from './cli/plain-daemon.ts'

/** What still runs at the end has so long to end. */
const LAST_MS = 500

const argv = process.argv.slice(2)
const daemon = plainDaemon(argv)

// each way loads its own code alone: the daemon stays small, and the night call is answered at once
if (daemon)
  void keepSmall()
    .then(() => import('./cli/commands/daemon.ts'))
    .then(async ({ runDaemon }) => {
      process.exitCode = await runDaemon(daemon)
      // all is flushed: what hangs now keeps nobody waiting
      setTimeout(() => process.exit(), LAST_MS).unref()
    })
else if (!fastStatus(argv))
  void import('./cli/run.ts').then(async ({ run }) => {
    process.exitCode = await run(argv)
  })
