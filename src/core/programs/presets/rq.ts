import * as z from 'zod'
import { commandOf, flag, toggle } from './command.ts'
import { count, executable, name, secs, stopWaitFor, stopWaitWarnings } from './options.ts'
import { preset } from './preset.ts'

export const rq = preset({
  preset: 'rq',
  title: 'RQ worker',
  options: () =>
    z.strictObject({
      rq: executable('rq', 'rq, by its full path where it is in a virtual environment'),
      queues: z
        .array(name())
        .min(1)
        .max(50)
        .default(['default'])
        .describe('its queues, the most urgent first'),
      settings: name()
        .optional()
        .describe(
          'a Python module of settings; the address of Redis may also be RQ_REDIS_URL in environment',
        ),
      withScheduler: z.boolean().default(false).describe('put jobs into their queue that are due'),
      maxJobs: count(0).describe('jobs after which it starts anew; 0 = no end'),
      longestJob: secs(180).describe('the largest job_timeout, seconds'),
    }),
  // SIGTERM ends it after the job at hand; a second one would not wait for that
  build: ({ queues, settings, withScheduler, maxJobs, longestJob, ...options }) => ({
    command: commandOf([
      options.rq,
      'worker',
      flag('config', settings),
      toggle('with-scheduler', withScheduler),
      flag('max-jobs', maxJobs || undefined),
      ...queues,
    ]),
    autorestart: true,
    stopWaitSecs: stopWaitFor(longestJob),
    stopAsGroup: false,
    killAsGroup: true,
  }),
  warnings: ({ longestJob }, whole) => stopWaitWarnings(longestJob, whole, 'longestJob'),
})
