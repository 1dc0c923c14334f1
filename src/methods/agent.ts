import * as z from 'zod'
import type { Principal } from '../core/access/principal.ts'
import { Finding } from '../protocol/doctor.ts'
import { SupervisorState } from '../protocol/events.ts'
import { PROTOCOL_VERSION } from '../protocol/limits.ts'
import { query } from '../protocol/method.ts'
import { Instant } from '../protocol/names.ts'
import { ShownSchedule } from '../protocol/schedule.ts'
import type { AgentFacts, Context } from './context.ts'

export const agentMethods = {
  'agent.info': query({
    summary: 'Say what this agent is, where it listens, and whether supervisord and cron are there.',
    scope: 'read',
    params: () => z.strictObject({}),
    result: () =>
      z.strictObject({
        name: z.string(),
        version: z.string(),
        protocol: z.int(),
        epoch: z.string(),
        startedAt: Instant,
        node: z.string().describe('version of Node.js'),
        listen: z.strictObject({ host: z.string(), port: z.int(), tls: z.boolean() }).nullable(),
        panel: z.strictObject({
          state: z.enum(['off', 'connecting', 'connected']).describe('off: no panel is dialled'),
          since: Instant,
          lastClose: z
            .strictObject({
              at: Instant,
              code: z.int().optional().describe('WebSocket close code'),
              reason: z.string(),
            })
            .optional()
            .describe('how the latest connection ended, or why there was none'),
        }),
        supervisor: z.strictObject({
          reachable: z.boolean(),
          reason: z.string().optional(),
          state: SupervisorState,
          since: Instant,
          version: z.string().nullable(),
          pid: z.int().nullable(),
          eventSource: z
            .enum(['listener', 'fallback'])
            .describe('fallback: no listener, states are compared instead'),
          exitStatuses: z
            .boolean()
            .describe("false: supervisord's main log cannot be read, so exits have no status"),
        }),
        cron: z.strictObject({ alive: z.boolean(), flavour: z.enum(['debian', 'cronie', 'unknown']) }),
        schedules: z
          .array(ShownSchedule)
          .optional()
          .describe('of the config, where there are any; for those who may see all programs'),
        policyDigest: z.string(),
      }),
    errors: [],
    example: {
      params: {},
      result: {
        name: 'web-1',
        version: '0.1.0',
        protocol: 1,
        epoch: 'dQw4w9Wg',
        startedAt: '2026-11-22T09:00:00.000Z',
        node: 'v20.20.2',
        listen: { host: '127.0.0.1', port: 9877, tls: false },
        panel: { state: 'off', since: '2026-11-22T09:00:00.000Z' },
        supervisor: {
          reachable: true,
          state: 'running',
          since: '2026-11-22T09:00:00.000Z',
          version: '4.2.5',
          pid: 812,
          eventSource: 'listener',
          exitStatuses: true,
        },
        cron: { alive: true, flavour: 'debian' },
        policyDigest: '5f1d3a…',
      },
    },
    cli: { command: 'info' },
    run: (_params, { agent, bus, supervisor, policy, principal }: Context) => ({
      name: agent.name,
      version: agent.version,
      protocol: PROTOCOL_VERSION,
      epoch: bus.epoch,
      startedAt: agent.startedAt,
      node: process.version,
      listen: agent.listen(),
      panel: agent.panel(),
      supervisor: supervisor.brief(),
      cron: agent.cron(),
      ...schedulesFor(agent, principal),
      policyDigest: policy.digest,
    }),
  }),

  'agent.doctor': query({
    summary: 'Look for what is wrong on this host; worst first, each with what cures it.',
    scope: 'read',
    params: () => z.strictObject({}),
    result: () =>
      z.strictObject({
        findings: z.array(Finding).describe('one at least for each question that could be asked here'),
      }),
    errors: [],
    example: {
      params: {},
      result: {
        findings: [
          {
            check: 'processes',
            severity: 'failure',
            message: 'mailer is FATAL: supervisord has given up on it',
            evidence: 'supervisord says: Exited too quickly (process log may have details)',
            fix: 'agent logs -n 50 --both mailer; agent start mailer',
          },
          {
            check: 'cron',
            severity: 'ok',
            message: 'Does a cron daemon run, with its crontab command? Yes.',
          },
        ],
      },
    },
    run: async (_params, { doctor, principal }: Context) => ({ findings: await doctor.findings(principal) }),
  }),
}

/** They name programs. */
function schedulesFor(agent: AgentFacts, { programs }: Principal) {
  const shown = programs.includes('*') ? agent.schedules() : []
  return shown.length === 0 ? {} : { schedules: shown }
}
