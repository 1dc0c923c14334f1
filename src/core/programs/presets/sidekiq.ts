import * as z from 'zod'
import { commandOf } from './command.ts'
import { executable, name, secs, stopWaitFor, stopWaitWarnings, word } from './options.ts'
import { preset } from './preset.ts'

export const sidekiq = preset({
  preset: 'sidekiq',
  title: 'Sidekiq',
  options: () =>
    z.strictObject({
      bundle: executable('bundle', 'what runs it within its bundle, or its full path'),
      environment: name().default('production').describe('the environment of the application'),
      queues: z
        .array(line())
        .max(50)
        .default([])
        .describe('its queues, the most urgent first, or with a weight each such as `mail,2`'),
      concurrency: z.int().min(1).max(1000).default(5).describe('jobs at a time'),
      timeout: secs(25).describe('seconds for jobs to end at a stop; then they go back into their queue'),
      config: word(1024).optional().describe('its file, without it config/sidekiq.yml where there is one'),
      require: word(1024)
        .optional()
        .describe('a file or folder to load; without it, the application of Rails'),
    }),
  // SIGTERM ends it after the jobs at hand
  build: ({ bundle, queues, ...options }) => ({
    command: commandOf([
      bundle,
      'exec',
      'sidekiq',
      '-e',
      options.environment,
      '-c',
      String(options.concurrency),
      '-t',
      String(options.timeout),
      ...(options.config === undefined ? [] : ['-C', options.config]),
      ...(options.require === undefined ? [] : ['-r', options.require]),
      ...queues.flatMap((queue) => ['-q', queue]),
    ]),
    autorestart: true,
    stopWaitSecs: stopWaitFor(options.timeout),
  }),
  warnings: ({ timeout }, whole) => stopWaitWarnings(timeout, whole, 'timeout'),
})

function line() {
  return word(128).regex(
    /^[A-Za-z0-9_][A-Za-z0-9_.:-]*(?:,[1-9][0-9]{0,3})?$/,
    'a name, or a name and a weight',
  )
}
