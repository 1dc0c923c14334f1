// The presets that every host has. A new one is a file and a line here.
import { celery } from './celery.ts'
import { custom } from './custom.ts'
import { laravelHorizon } from './laravel-horizon.ts'
import { laravelOctane } from './laravel-octane.ts'
import { laravelPulse } from './laravel-pulse.ts'
import { laravelQueue } from './laravel-queue.ts'
import { laravelReverb } from './laravel-reverb.ts'
import { laravelScheduleWork } from './laravel-schedule-work.ts'
import { node } from './node.ts'
import { pm2 } from './pm2.ts'
import type { Preset } from './preset.ts'
import { rq } from './rq.ts'
import { sidekiq } from './sidekiq.ts'
import { slmQueue } from './slm-queue.ts'
import { symfonyMessenger } from './symfony-messenger.ts'

export const PRESETS: readonly Preset[] = [
  laravelQueue,
  laravelHorizon,
  laravelOctane,
  laravelReverb,
  laravelPulse,
  laravelScheduleWork,
  slmQueue,
  symfonyMessenger,
  node,
  pm2,
  celery,
  sidekiq,
  rq,
  custom,
]
