import * as z from 'zod'
import { phpOptions, word } from './options.ts'
import { preset } from './preset.ts'
import { commandOf, within } from './shell.ts'

/** By kind of worker: its command line, and what makes it end after the job at hand. */
const WORKERS = {
  'laravel-queue': ['artisan', 'queue:restart'],
  'laravel-horizon': ['artisan', 'horizon:terminate'],
  'symfony-messenger': ['bin/console', 'messenger:stop-workers'],
} as const

export const queueRestart = preset({
  preset: 'queue-restart',
  title: 'Graceful restart of queue workers',
  schedule: '0 4 * * *',
  options: () => {
    const { folder, php } = phpOptions('artisan')
    return z.strictObject({
      folder,
      php,
      worker: z
        .enum(['laravel-queue', 'laravel-horizon', 'symfony-messenger'])
        .default('laravel-queue')
        .describe('what the workers are; supervisord starts them anew when they have ended'),
      script: word(1024)
        .optional()
        .describe('their command line, from that folder or by its full path; without it, the usual one'),
    })
  },
  example: { folder: '/srv/shop' },
  build: ({ folder, php, worker, script }) => {
    const [usual, verb] = WORKERS[worker]
    return { command: within(folder, commandOf([php, script ?? usual, verb])) }
  },
})
