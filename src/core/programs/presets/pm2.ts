import * as z from 'zod'
import { commandOf, flag } from './command.ts'
import { executable, name, secs, singleWarnings, stopWaitFor, word } from './options.ts'
import { preset } from './preset.ts'

export const pm2 = preset({
  preset: 'pm2',
  title: 'PM2 applications (pm2-runtime)',
  options: () =>
    z.strictObject({
      pm2Runtime: executable('pm2-runtime', 'pm2-runtime, or its full path'),
      file: word(1024).default('ecosystem.config.js').describe('its applications, from `directory`'),
      only: z.array(name()).max(50).default([]).describe('only these applications of the file'),
      env: name().optional().describe('the section env_NAME of the file'),
      closeSecs: secs(20).describe('seconds that its applications take to end'),
    }),
  build: ({ pm2Runtime, file, only, env, closeSecs }) => ({
    command: commandOf([
      pm2Runtime,
      'start',
      file,
      ...(only.length > 0 ? ['--only', only.join(',')] : []),
      flag('env', env),
    ]),
    autorestart: true,
    stopWaitSecs: stopWaitFor(closeSecs),
    // it stops its applications itself
    stopAsGroup: false,
    killAsGroup: true,
  }),
  warnings: (_options, whole) =>
    singleWarnings(whole, 'PM2 starts its processes itself; their number is instances in its file'),
})
