import * as z from 'zod'
import { commandOf, flag, toggle } from './command.ts'
import { count, name, phpOptions, secs, stopWaitFor, stopWaitWarnings, word } from './options.ts'
import { preset } from './preset.ts'

export const laravelQueue = preset({
  preset: 'laravel-queue',
  title: 'Laravel queue worker (queue:work)',
  options: () =>
    z.strictObject({
      ...phpOptions('artisan'),
      connection: name().optional().describe('a connection of config/queue.php; without it, the default one'),
      queue: z
        .array(name())
        .max(50)
        .default([])
        .describe('queues, the most urgent first; none = the default one of the connection'),
      name: word(64).default('default').describe('the name of the worker'),
      sleep: secs(3).describe('seconds to wait when no job is there'),
      tries: count(1).describe('attempts before a job has failed; 0 = no end'),
      timeout: secs(60).describe('seconds that a job may take before its worker is killed; 0 = no end'),
      backoff: z
        .array(z.int().min(0).max(604_800))
        .min(1)
        .max(20)
        .default([0])
        .describe('seconds before a failed job is tried again: one for all attempts, or one for each'),
      memory: z.int().min(16).max(1_048_576).default(128).describe('megabytes after which it starts anew'),
      maxJobs: count(0).describe('jobs after which it starts anew; 0 = no end'),
      maxTime: secs(3_600).describe('seconds after which it starts anew; 0 = no end'),
      rest: secs(0).describe('seconds to rest between jobs'),
      force: z.boolean().default(false).describe('work in maintenance mode too'),
      retryAfter: secs(90).describe(
        'retry_after of the connection in config/queue.php, to be checked against',
      ),
    }),
  build: ({ php, script, connection, ...options }) => ({
    command: commandOf([
      php,
      script,
      'queue:work',
      connection ?? null,
      flag('name', options.name),
      flag('queue', options.queue),
      flag('sleep', options.sleep),
      flag('tries', options.tries),
      flag('timeout', options.timeout),
      flag('backoff', options.backoff.map(String)),
      flag('memory', options.memory),
      flag('max-jobs', options.maxJobs),
      flag('max-time', options.maxTime),
      flag('rest', options.rest),
      toggle('force', options.force),
    ]),
    autorestart: true,
    stopWaitSecs: stopWaitFor(options.timeout),
  }),
  graceful: ({ php, script }) => ({ by: 'command', argv: [php, script, 'queue:restart'] }),
  warnings: ({ timeout, tries, maxTime, maxJobs, retryAfter }, whole) => [
    ...stopWaitWarnings(timeout, whole, 'timeout'),
    ...(timeout === 0 || timeout >= retryAfter
      ? [
          `timeout (${timeout === 0 ? 'none' : timeout}) is not below retry_after (${retryAfter}): a second worker takes up a job that still runs`,
        ]
      : []),
    ...(maxTime === 0 && maxJobs === 0
      ? ['neither maxTime nor maxJobs is set: what a worker leaks stays until its next restart']
      : []),
    ...(tries === 0 ? ['tries is 0: a job that always fails is tried without end'] : []),
  ],
})
