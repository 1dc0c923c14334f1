import * as z from 'zod'
import { commandOf, flag } from './command.ts'
import { count, name, phpOptions, secs, stopWaitFor, stopWaitWarnings } from './options.ts'
import { preset } from './preset.ts'

export const symfonyMessenger = preset({
  preset: 'symfony-messenger',
  title: 'Symfony Messenger (messenger:consume)',
  options: () =>
    z.strictObject({
      ...phpOptions('bin/console'),
      receivers: z
        .array(name())
        .min(1)
        .max(50)
        .default(['async'])
        .describe('transports, the most urgent first'),
      queues: z.array(name()).max(50).default([]).describe('only these queues of the transports'),
      bus: name().optional().describe('the bus that messages are sent to'),
      env: name().default('prod').describe('the environment of the application'),
      limit: count(0).describe('messages after which it starts anew; 0 = no end'),
      failureLimit: count(0).describe('failed messages after which it starts anew; 0 = no end'),
      timeLimit: secs(3_600).describe('seconds after which it starts anew; 0 = no end'),
      memoryLimit: z
        .int()
        .min(16)
        .max(1_048_576)
        .default(128)
        .describe('megabytes after which it starts anew'),
      sleep: secs(1).describe('seconds to wait when no message is there'),
      longestMessage: secs(300).describe('seconds that the longest message takes'),
    }),
  build: ({ php, script, receivers, queues, longestMessage, ...options }) => ({
    command: commandOf([
      php,
      script,
      'messenger:consume',
      ...receivers,
      ...queues.map((queue) => `--queues=${queue}`),
      flag('bus', options.bus),
      flag('env', options.env),
      flag('limit', options.limit || undefined),
      flag('failure-limit', options.failureLimit || undefined),
      flag('time-limit', options.timeLimit || undefined),
      flag('memory-limit', `${options.memoryLimit}M`),
      flag('sleep', options.sleep),
      '--no-interaction',
    ]),
    autorestart: true,
    stopWaitSecs: stopWaitFor(longestMessage),
  }),
  graceful: ({ php, script, env }) => ({
    by: 'command',
    argv: [php, script, 'messenger:stop-workers', `--env=${env}`],
  }),
  warnings: ({ longestMessage, timeLimit, limit }, whole) => [
    ...stopWaitWarnings(longestMessage, whole, 'longestMessage'),
    ...(timeLimit === 0 && limit === 0
      ? ['neither timeLimit nor limit is set: what a worker leaks stays until its next restart']
      : []),
  ],
})
