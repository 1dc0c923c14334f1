import * as z from 'zod'
import { commandOf } from './command.ts'
import { phpOptions, singleWarnings } from './options.ts'
import { preset } from './preset.ts'

export const laravelPulse = preset({
  preset: 'laravel-pulse',
  title: 'Laravel Pulse (pulse:check or pulse:work)',
  options: () =>
    z.strictObject({
      ...phpOptions('artisan'),
      part: z
        .enum(['check', 'work'])
        .default('check')
        .describe('check: figures of this host; work: what was sent through Redis'),
    }),
  build: ({ php, script, part }) => ({
    command: commandOf([php, script, `pulse:${part}`]),
    autorestart: true,
    stopWaitSecs: 30,
  }),
  graceful: ({ php, script }) => ({ by: 'command', argv: [php, script, 'pulse:restart'] }),
  warnings: ({ part }, whole) =>
    part === 'check' ? singleWarnings(whole, 'each would take the figures of this host') : [],
})
