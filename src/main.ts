import { fastStatus } from './cli/fast-status.ts'

// the night call: answered before anything else is loaded
if (!fastStatus(process.argv.slice(2)))
  void import('./cli/run.ts').then(async ({ run }) => {
    process.exitCode = await run(process.argv.slice(2))
  })
