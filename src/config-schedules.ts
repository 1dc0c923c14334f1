// The `schedules:` of the config file: work on processes by the clock.
import * as z from 'zod'
import { parseSchedule } from './core/crontab/schedule.ts'
import { namedZone } from './core/host/zone.ts'
import { Selector } from './protocol/names.ts'
import { ScheduleAction, ScheduleMode } from './protocol/schedule.ts'

const SCHEDULES_MAX = 100

const At = z.string().superRefine((text, context) => {
  const problem = atProblem(text)
  if (problem !== null) context.addIssue({ code: 'custom', message: `expected a schedule: ${problem}` })
})

const Timezone = z
  .string()
  .refine(hasZone, 'expected UTC, or a zone that this host has in /usr/share/zoneinfo, such as Europe/Berlin')

export const Schedules = z
  .array(
    z
      .strictObject({
        at: At,
        timezone: Timezone.default('UTC'),
        action: ScheduleAction,
        select: z.array(Selector).min(1).max(100),
        mode: ScheduleMode.optional(),
      })
      .superRefine(({ action, mode }, context) => {
        if (mode !== undefined && action !== 'restart')
          context.addIssue({ code: 'custom', path: ['mode'], message: 'expected only with action: restart' })
      }),
  )
  .max(SCHEDULES_MAX)

/** A day of the month and a day of the week: cron takes either, node-cron both. */
function atProblem(text: string): string | null {
  const parsed = parseSchedule(text)
  if (parsed.kind === 'problem') return parsed.problem
  if (parsed.kind === 'reboot') return 'the agent does nothing at the start of the host'
  const { day, weekday } = parsed
  const isBoth = !day.isStar && !weekday.isStar
  return isBoth
    ? 'days of the month and of the week together mean different things to different programs'
    : null
}

function hasZone(name: string): boolean {
  try {
    return namedZone(name) !== null
  } catch {
    return false
  }
}
