import * as z from 'zod'
import { line } from '../../../protocol/program-text.ts'
import { path, program } from './options.ts'
import { preset } from './preset.ts'
import { commandOf, within } from './shell.ts'

export const custom = preset({
  preset: 'custom',
  title: 'Any command, word by word',
  schedule: '@daily',
  options: () =>
    z.strictObject({
      executable: program().describe('what runs, by its name or its full path'),
      args: z
        .array(line(4_000))
        .max(100)
        .default([])
        .describe('its arguments, each a word of its own: no shell looks into them'),
      folder: path().optional().describe('where it starts'),
    }),
  example: { executable: '/usr/bin/env', args: ['my-job'] },
  build: ({ executable, args, folder }) => {
    const command = commandOf([executable, ...args])
    return { command: folder === undefined ? command : within(folder, command) }
  },
})
