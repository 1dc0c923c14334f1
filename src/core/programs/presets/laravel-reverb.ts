import * as z from 'zod'
import { commandOf, flag } from './command.ts'
import { phpOptions, port, secs, singleWarnings, stopWaitFor, word } from './options.ts'
import { preset } from './preset.ts'

export const laravelReverb = preset({
  preset: 'laravel-reverb',
  title: 'Laravel Reverb (WebSockets)',
  options: () =>
    z.strictObject({
      ...phpOptions('artisan'),
      host: word().default('127.0.0.1').describe('the address it listens at'),
      port: port().default(8080).describe('the port it listens at'),
      hostname: word().optional().describe('the name that browsers reach it by'),
      closeSecs: secs(20).describe('seconds that its connections may take to close'),
    }),
  build: ({ php, script, host, hostname, closeSecs, ...options }) => ({
    command: commandOf([
      php,
      script,
      'reverb:start',
      flag('host', host),
      flag('port', options.port),
      flag('hostname', hostname),
    ]),
    autorestart: true,
    stopWaitSecs: stopWaitFor(closeSecs),
  }),
  graceful: ({ php, script }) => ({ by: 'command', argv: [php, script, 'reverb:restart'] }),
  warnings: (_options, whole) => [
    ...singleWarnings(whole, 'two cannot listen at one port'),
    ...(whole.limits?.openFiles === undefined
      ? [
          'each connection takes a file descriptor: without limits.openFiles supervisord grants as many as its own minfds',
        ]
      : []),
  ],
})
