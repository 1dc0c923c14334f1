import { fastStatus } from './cli/fast-status.ts'
import { keepSmall, plainDaemon } from './cli/plain-daemon.ts'

const argv = process.argv.slice(2)
const daemon = plainDaemon(argv)

// each way loads its own code alone: the daemon stays small, and the night call is answered at once
if (daemon)
  void keepSmall()
    .then(() => import('./cli/commands/daemon.ts'))
    .then(async ({ runDaemon }) => {
      process.exitCode = await runDaemon(daemon)
    })
else if (!fastStatus(argv))
  void import('./cli/run.ts').then(async ({ run }) => {
    process.exitCode = await run(argv)
  })
