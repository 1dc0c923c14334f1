import * as z from 'zod'
import { STOP_SIGNALS } from '../../../protocol/definition.ts'
import { line } from '../../../protocol/program-text.ts'
import { commandOf } from './command.ts'
import { secs, stopWaitFor, stopWaitWarnings, word } from './options.ts'
import { preset } from './preset.ts'

export const custom = preset({
  preset: 'custom',
  title: 'Any worker, its command word by word',
  options: () =>
    z.strictObject({
      executable: word(4_000).describe('what runs, by its name or its full path'),
      args: z.array(line(4_000)).max(100).default([]).describe('its arguments, each a word of its own'),
      longestJob: secs(60).describe('seconds that it takes to end what it has begun'),
      reloadSignal: z
        .enum(STOP_SIGNALS)
        .exclude(['KILL'])
        .optional()
        .describe(
          'the signal that makes it end by itself and come back; without it, it is stopped and started',
        ),
    }),
  example: { executable: '/usr/bin/env', args: ['my-worker'] },
  build: ({ executable, args, longestJob }) => ({
    command: commandOf([executable, ...args]),
    autorestart: true,
    stopWaitSecs: stopWaitFor(longestJob),
  }),
  graceful: ({ reloadSignal }) =>
    reloadSignal === undefined ? null : { by: 'signal', signal: reloadSignal },
  warnings: ({ longestJob }, whole) => stopWaitWarnings(longestJob, whole, 'longestJob'),
})
