import * as z from 'zod'
import { commandOf } from './command.ts'
import { phpOptions, secs, singleWarnings, stopWaitFor, stopWaitWarnings } from './options.ts'
import { preset } from './preset.ts'

export const laravelScheduleWork = preset({
  preset: 'laravel-schedule-work',
  title: 'Laravel scheduler (schedule:work)',
  options: () =>
    z.strictObject({
      ...phpOptions('artisan'),
      longestTask: secs(300).describe('seconds that the longest task takes'),
    }),
  build: ({ php, script, longestTask }) => ({
    command: commandOf([php, script, 'schedule:work']),
    autorestart: true,
    stopWaitSecs: stopWaitFor(longestTask),
  }),
  warnings: ({ longestTask }, whole) => [
    ...stopWaitWarnings(longestTask, whole, 'longestTask'),
    ...singleWarnings(whole, 'each would run every task'),
  ],
})
