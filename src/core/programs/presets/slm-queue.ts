import * as z from 'zod'
import { commandOf } from './command.ts'
import { name, phpOptions, secs, stopWaitFor, stopWaitWarnings } from './options.ts'
import { preset } from './preset.ts'

export const slmQueue = preset({
  preset: 'slm-queue',
  title: 'SlmQueue worker (Laminas, Mezzio)',
  options: () =>
    z.strictObject({
      ...phpOptions('vendor/bin/laminas'),
      queue: name().default('default').describe('the queue, as the configuration names it'),
      longestJob: secs(300).describe('seconds that the longest job takes'),
    }),
  // its interrupt strategy ends the worker after the job at hand: the stop signal is graceful already
  build: ({ php, script, queue, longestJob }) => ({
    command: commandOf([php, script, 'slm-queue:start', queue]),
    autorestart: true,
    stopWaitSecs: stopWaitFor(longestJob),
  }),
  warnings: ({ longestJob }, whole) => stopWaitWarnings(longestJob, whole, 'longestJob'),
})
