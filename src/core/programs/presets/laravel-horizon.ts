import * as z from 'zod'
import { commandOf, flag } from './command.ts'
import { name, phpOptions, secs, singleWarnings, stopWaitFor, stopWaitWarnings } from './options.ts'
import { preset } from './preset.ts'

export const laravelHorizon = preset({
  preset: 'laravel-horizon',
  title: 'Laravel Horizon',
  options: () =>
    z.strictObject({
      ...phpOptions('artisan'),
      environment: name().optional().describe('a section of environments in config/horizon.php'),
      longestJob: secs(3_600).describe('the largest timeout in config/horizon.php, seconds'),
    }),
  build: ({ php, script, environment, longestJob }) => ({
    command: commandOf([php, script, 'horizon', flag('environment', environment)]),
    autorestart: true,
    stopWaitSecs: stopWaitFor(longestJob),
    // it passes the signal on to its workers in the order it needs
    stopAsGroup: false,
    killAsGroup: true,
  }),
  graceful: ({ php, script }) => ({ by: 'command', argv: [php, script, 'horizon:terminate'] }),
  warnings: ({ longestJob }, whole) => [
    ...stopWaitWarnings(longestJob, whole, 'longestJob'),
    ...singleWarnings(whole, 'Horizon starts its workers itself; their number is in config/horizon.php'),
  ],
})
