import * as z from 'zod'
import { SupervisorState } from '../protocol/events.ts'
import { mutation, query } from '../protocol/method.ts'
import { GroupName } from '../protocol/names.ts'
import type { Context } from './context.ts'
import { observedSupervisor } from './observed.ts'

const Groups = z.strictObject({
  added: z.array(z.string()),
  changed: z.array(z.string()),
  removed: z.array(z.string()),
})
const groups = { added: ['mailer'], changed: ['worker'], removed: [] }

export const supervisorMethods = {
  'supervisor.info': query({
    summary: 'Say what supervisord runs here: version, configuration files, event listener.',
    scope: 'read',
    params: () => z.strictObject({}),
    result: () =>
      z.strictObject({
        identification: z.string().nullable(),
        version: z.string().nullable(),
        state: SupervisorState,
        pid: z.int().nullable(),
        configFile: z.string().nullable(),
        includes: z.array(z.string()),
        programDir: z.string().nullable(),
        programExt: z.string(),
        problems: z.array(z.string()).describe('what is missing, with the line to add'),
        orphans: z
          .array(z.strictObject({ process: z.string(), pid: z.int() }))
          .describe(
            'processes left running by a supervisord that was killed; its successor started them again',
          ),
        listener: z.strictObject({
          installed: z.boolean(),
          connected: z.boolean(),
          bufferSize: z.int().nullable(),
          lost: z.int().describe('events that supervisord dropped before they reached the agent'),
        }),
      }),
    errors: [],
    example: {
      params: {},
      result: {
        identification: 'supervisor',
        version: '4.2.5',
        state: 'running',
        pid: 812,
        configFile: '/etc/supervisor/supervisord.conf',
        includes: ['/etc/supervisor/conf.d/*.conf'],
        programDir: '/etc/supervisor/conf.d',
        programExt: 'conf',
        problems: [],
        orphans: [],
        listener: { installed: true, connected: true, bufferSize: 2000, lost: 0 },
      },
    },
    cli: { command: 'supervisor info' },
    allPrograms: true,
    run: (_params, { supervisor }: Context) => supervisor.info(),
  }),

  'supervisor.log': query({
    summary: "Give the end of supervisord's own log.",
    scope: 'logs',
    params: () => z.strictObject({ bytes: z.int().min(1).max(262_144).default(16_384) }),
    result: () => z.strictObject({ text: z.string() }),
    errors: ['LOG_UNAVAILABLE'],
    example: {
      params: { bytes: 80 },
      result: { text: "2026-11-22 10:00:00,123 INFO spawned: 'worker_00' with pid 4711\n" },
    },
    cli: { command: 'supervisor log' },
    allPrograms: true,
    run: ({ bytes }, { supervisor }: Context) => supervisor.log(bytes),
  }),

  'supervisor.reread': mutation({
    summary: 'Compare the configuration files with what runs; changes nothing.',
    scope: 'program',
    params: () => z.strictObject({}),
    result: () => Groups,
    errors: ['SUPERVISOR_FAULT', 'SUPERVISOR_UNREACHABLE'],
    example: { params: {}, result: groups },
    cli: { command: 'supervisor reread' },
    allPrograms: true,
    observe: (_params, context: Context) => observedSupervisor(context),
    run: (_params, { supervisor, signal }: Context) => supervisor.reread(signal),
  }),

  'supervisor.update': mutation({
    summary:
      'Apply changed configuration files to groups: removed ones stop, changed ones restart, added ones start.',
    scope: 'program',
    params: () =>
      z.strictObject({
        groups: z
          .array(GroupName)
          .min(1)
          .max(1000)
          .optional()
          .describe('needed but on admin.sock, where none means all'),
      }),
    result: () => Groups,
    errors: ['SUPERVISOR_FAULT', 'SUPERVISOR_UNREACHABLE', 'PROCESS_NOT_FOUND'],
    example: { params: { groups: ['worker'] }, result: groups },
    cli: { command: 'supervisor update', positional: ['groups'] },
    observe: (_params, context: Context) => observedSupervisor(context),
    judge: ({ groups: wanted }, { supervisor, principal }: Context) =>
      supervisor.mayUpdate(wanted, principal),
    unforeseen:
      'the users and logs of programs in changed files are judged when supervisord has read those files',
    run: ({ groups: wanted }, { supervisor, policy, principal, enforce, signal }: Context) =>
      supervisor.update(wanted, {
        principal,
        signal,
        allow: (definition) => enforce(policy.judge({ kind: 'foreign', definition }, principal)),
      }),
  }),

  'supervisor.restart': mutation({
    summary: 'Restart supervisord with all its processes, after a dry run of its configuration.',
    scope: 'admin',
    params: () => z.strictObject({}),
    result: () => z.strictObject({}),
    errors: ['SUPERVISOR_FAULT', 'SUPERVISOR_UNREACHABLE'],
    example: { params: {}, result: {} },
    cli: { command: 'supervisor restart' },
    switches: ['allowSupervisorShutdown'],
    observe: (_params, context: Context) => observedSupervisor(context),
    run: async (_params, { supervisor, principal, signal }: Context) => {
      await supervisor.restart(principal, signal)
      return {}
    },
  }),

  'supervisor.shutdown': mutation({
    summary: 'End supervisord with all its processes.',
    scope: 'admin',
    params: () => z.strictObject({}),
    result: () => z.strictObject({}),
    errors: ['SUPERVISOR_FAULT', 'SUPERVISOR_UNREACHABLE'],
    example: { params: {}, result: {} },
    cli: { command: 'supervisor shutdown' },
    switches: ['allowSupervisorShutdown'],
    observe: (_params, context: Context) => observedSupervisor(context),
    run: async (_params, { supervisor, principal, signal }: Context) => {
      await supervisor.shutdown(principal, signal)
      return {}
    },
  }),
}
