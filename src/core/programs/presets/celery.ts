import * as z from 'zod'
import { commandOf, flag } from './command.ts'
import { count, executable, name, secs, stopWaitFor, stopWaitWarnings, word } from './options.ts'
import { preset } from './preset.ts'

export const celery = preset({
  preset: 'celery',
  title: 'Celery worker',
  options: () =>
    z.strictObject({
      celery: executable('celery', 'celery, by its full path where it is in a virtual environment'),
      app: name().optional().describe('the module of the application; without it, CELERY_APP says it'),
      queues: z.array(name()).max(50).default([]).describe('its queues; none = the default one'),
      name: word(128)
        .default('%(process_num)02d@%h')
        .describe('the name of the worker; %(process_num)02d is the number of the process, %h the host'),
      concurrency: z
        .int()
        .min(1)
        .max(1000)
        .optional()
        .describe('its processes; without it, one for each core'),
      pool: z
        .enum(['prefork', 'threads', 'solo', 'gevent', 'eventlet'])
        .default('prefork')
        .describe('what its processes are'),
      loglevel: z
        .enum(['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'])
        .default('INFO')
        .describe('what it writes into its log'),
      maxTasksPerChild: count(0).describe('tasks after which a process starts anew; 0 = no end'),
      timeLimit: secs(300).describe('seconds that a task may take before it is killed; 0 = no end'),
    }),
  example: { app: 'shop' },
  // SIGTERM ends it after the tasks at hand
  build: ({ app, queues, timeLimit, ...options }) => ({
    command: commandOf([
      options.celery,
      flag('app', app),
      'worker',
      flag('hostname', options.name),
      flag('queues', queues),
      flag('concurrency', options.concurrency),
      flag('pool', options.pool),
      flag('loglevel', options.loglevel),
      flag('max-tasks-per-child', options.maxTasksPerChild || undefined),
      flag('time-limit', timeLimit || undefined),
    ]),
    autorestart: true,
    stopWaitSecs: stopWaitFor(timeLimit),
    // its children would take the signal for an end in the middle of a task
    stopAsGroup: false,
    killAsGroup: true,
  }),
  warnings: ({ timeLimit }, whole) => stopWaitWarnings(timeLimit, whole, 'timeLimit'),
})
