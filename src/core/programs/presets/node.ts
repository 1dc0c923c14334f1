import * as z from 'zod'
import { line } from '../../../protocol/program-text.ts'
import { commandOf } from './command.ts'
import { executable, name, port, secs, singleWarnings, stopWaitFor, word } from './options.ts'
import { preset } from './preset.ts'

export const node = preset({
  preset: 'node',
  title: 'Node.js application',
  options: () =>
    z
      .strictObject({
        node: executable('node', 'the Node.js that runs it, or its full path'),
        npm: executable('npm', 'what runs a script of package.json'),
        entry: word(1024).optional().describe('its file, from `directory`; without it and script, index.js'),
        script: name().optional().describe('a script of package.json, instead of entry'),
        args: z.array(line(1024)).max(50).default([]).describe('its arguments, each a word of its own'),
        port: port().optional().describe('PORT in its environment'),
        nodeEnv: name().default('production').describe('NODE_ENV in its environment'),
        closeSecs: secs(20).describe('seconds that it takes to end what it has begun'),
      })
      .refine(({ entry, script }) => entry === undefined || script === undefined, {
        path: ['script'],
        message: 'entry says already what runs',
      }),
  build: ({ entry = 'index.js', script, args, closeSecs, ...options }) => ({
    command: commandOf(
      script === undefined
        ? [options.node, entry, ...args]
        : [options.npm, 'run', script, ...(args.length > 0 ? ['--', ...args] : [])],
    ),
    environment: {
      NODE_ENV: options.nodeEnv,
      ...(options.port === undefined ? {} : { PORT: String(options.port) }),
    },
    autorestart: true,
    stopWaitSecs: stopWaitFor(closeSecs),
  }),
  warnings: (options, whole) =>
    options.port === undefined ? [] : singleWarnings(whole, `each would listen at port ${options.port}`),
})
