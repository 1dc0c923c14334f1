import * as z from 'zod'
import { commandOf, flag } from './command.ts'
import {
  count,
  phpOptions,
  port,
  secs,
  singleWarnings,
  stopWaitFor,
  stopWaitWarnings,
  word,
} from './options.ts'
import { preset } from './preset.ts'

export const laravelOctane = preset({
  preset: 'laravel-octane',
  title: 'Laravel Octane',
  options: () =>
    z.strictObject({
      ...phpOptions('artisan'),
      server: z.enum(['frankenphp', 'roadrunner', 'swoole']).default('frankenphp').describe('what serves'),
      host: word().default('127.0.0.1').describe('the address it listens at'),
      port: port().default(8000).describe('the port it listens at'),
      workers: z.int().min(1).max(1000).optional().describe('its workers; without it, one for each core'),
      maxRequests: count(500).describe('requests after which a worker starts anew'),
      longestRequest: secs(30).describe('seconds that a request may take'),
    }),
  build: ({ php, script, server, host, longestRequest, ...options }) => ({
    command: commandOf([
      php,
      script,
      'octane:start',
      flag('server', server),
      flag('host', host),
      flag('port', options.port),
      flag('workers', options.workers),
      flag('max-requests', options.maxRequests),
    ]),
    autorestart: true,
    stopWaitSecs: stopWaitFor(longestRequest),
    stopAsGroup: false,
    killAsGroup: true,
  }),
  graceful: ({ php, script, server }) => ({
    by: 'command',
    argv: [php, script, 'octane:reload', `--server=${server}`],
    keepsPid: true,
  }),
  warnings: ({ longestRequest, host }, whole) => [
    ...stopWaitWarnings(longestRequest, whole, 'longestRequest'),
    ...singleWarnings(
      whole,
      'two cannot listen at one port; workers says how many requests it serves at once',
    ),
    ...openWarnings(host),
  ],
})

function openWarnings(host: string): string[] {
  return /^(?:127\.|localhost$|::1$)/.test(host)
    ? []
    : [`it listens at ${host}: other hosts reach it without the web server in front`]
}
