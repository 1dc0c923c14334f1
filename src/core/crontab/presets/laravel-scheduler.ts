import * as z from 'zod'
import { phpOptions } from './options.ts'
import { preset } from './preset.ts'
import { commandOf, within } from './shell.ts'

export const laravelScheduler = preset({
  preset: 'laravel-scheduler',
  title: 'Laravel scheduler (schedule:run)',
  schedule: '* * * * *',
  options: () => z.strictObject(phpOptions('artisan')),
  example: { folder: '/srv/shop' },
  build: ({ folder, php, script }) => ({ command: within(folder, commandOf([php, script, 'schedule:run'])) }),
})
