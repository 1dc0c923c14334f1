import * as z from 'zod'
import { Definition } from '../protocol/definition.ts'
import { query } from '../protocol/method.ts'
import { GivenName } from '../protocol/names.ts'
import { ProgramPreset } from '../protocol/preset.ts'
import { DefinitionIssue, PlanAction, Program, Revision } from '../protocol/program.ts'
import { ProgramName } from '../protocol/program-text.ts'
import type { Context } from './context.ts'

export const IfRevision = Revision.optional().describe('only if the file is still this one')
export const ByName = z.strictObject({ name: ProgramName })

export const definition: Definition = {
  name: 'mailer',
  command: '/usr/bin/php artisan queue:work --queue=mail',
  directory: '/srv/shop',
  user: 'www-data',
  processes: 2,
}
export const program: Program = {
  name: 'mailer',
  source: 'managed',
  file: '/etc/supervisor/conf.d/agent-mailer.conf',
  revision: '5f0c1ab29e7d4438',
  drift: false,
  definition,
  processes: 2,
  running: 2,
  instances: [],
  warnings: [],
}
export const actions: PlanAction[] = [
  { group: 'mailer', action: 'add', processes: ['mailer:mailer_00', 'mailer:mailer_01'] },
]

/** What is asked of programs; each takes no effect. */
export const programMethods = {
  'program.list': query({
    summary: 'List the programs of the configuration files with what runs of them.',
    scope: 'read',
    params: () => z.strictObject({}),
    result: () => z.strictObject({ programs: z.array(Program) }),
    errors: [],
    example: { params: {}, result: { programs: [program] } },
    cli: { command: 'program ls' },
    run: async (_params, { programs, principal }: Context) => ({ programs: await programs.list(principal) }),
  }),

  'program.get': query({
    summary: 'Show one program: its definition, its file, its processes.',
    scope: 'read',
    params: () => z.strictObject({ name: GivenName }),
    result: () => z.strictObject({ program: Program }),
    errors: ['PROGRAM_NOT_FOUND', 'FORBIDDEN'],
    example: { params: { name: 'mailer' }, result: { program } },
    cli: { command: 'program show', positional: ['name'] },
    judge: ({ name }, { programs, principal }: Context) => programs.assertMine(name, principal),
    run: async ({ name }, { programs, principal }: Context) => ({
      program: await programs.get(name, principal),
    }),
  }),

  'program.presets': query({
    summary: 'List the presets that a program can be made from, with their options.',
    scope: 'read',
    params: () =>
      z.strictObject({
        preset: z.string().max(64).optional().describe('only the one of that name'),
        show: z.boolean().default(false).describe('with an example of the stanza that it makes'),
      }),
    result: () => z.strictObject({ presets: z.array(ProgramPreset) }),
    errors: ['PROGRAM_INVALID'],
    example: {
      params: { preset: 'laravel-horizon' },
      result: {
        presets: [
          {
            preset: 'laravel-horizon',
            title: 'Laravel Horizon',
            schema: { type: 'object', properties: { php: { type: 'string', default: 'php' } } },
            defaults: { php: 'php' },
            graceful: { by: 'command', argv: ['php', 'artisan', 'horizon:terminate'] },
            warnings: [],
          },
        ],
      },
    },
    cli: { command: 'program presets', positional: ['preset'] },
    run: ({ preset, show }, { programs }: Context) => ({ presets: programs.presets(preset, show) }),
  }),

  'program.plan': query({
    summary: 'Show what a put would do: the change of the file, what starts, stops and restarts, warnings.',
    scope: 'program',
    params: () => z.strictObject({ definition: Definition, ifRevision: IfRevision }),
    invalidAs: { definition: 'PROGRAM_INVALID' },
    result: () =>
      z.strictObject({
        diff: z.string().describe('unified diff of the files'),
        actions: z.array(PlanAction),
        warnings: z.array(z.string()),
        errors: z.array(DefinitionIssue),
      }),
    errors: ['FORBIDDEN', 'POLICY_DENIED', 'PROGRAM_INVALID', 'REVISION_CONFLICT', 'SUPERVISOR_FAULT'],
    example: { params: { definition }, result: { diff: '', actions, warnings: [], errors: [] } },
    cli: { command: 'program plan', positional: ['name'], body: 'definition' },
    secretParams: ['definition.environment', 'definition.options'],
    judge: (params, context: Context) => context.programs.prepare({ action: 'put', ...params }, context),
    run: (_params, _context: Context, { diff, actions: planned, warnings, issues, broken }) => ({
      diff,
      actions: planned,
      warnings,
      errors: [...issues, ...broken.map(({ file, line, message }) => ({ path: `${file}:${line}`, message }))],
    }),
  }),
}
