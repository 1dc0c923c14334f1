// The forms of crontab entries: closed, and with whole seconds.
import t from 'tap'
import { Entry, EntryDefinition, ForeignKey, Run, SchedulePreview } from '../../src/protocol/entry.ts'

const definition = { name: 'Nightly', user: 'shop', schedule: '15 3 * * *', command: 'true' }
const shown = { ...definition, id: 'nightly', enabled: true, managed: true, revision: '0123456789abcdef' }
const run = { run: 'nightly.1', id: 'nightly', startedAt: '2026-01-01T00:00:00Z', verdict: 'running' }
const preview = { description: 'every minute', zone: 'UTC', next: ['2026-01-01T00:00:00Z'], warnings: [] }

const ROWS = [
  { it: 'a definition', schema: EntryDefinition, value: definition, fits: true },
  {
    it: 'one of a preset',
    schema: EntryDefinition,
    value: { name: 'S', user: 'shop', preset: 'cleanup' },
    fits: true,
  },
  { it: 'an id with a dot', schema: EntryDefinition, value: { ...definition, id: 'a.b' }, fits: false },
  {
    it: 'an id that leads elsewhere',
    schema: EntryDefinition,
    value: { ...definition, id: '../x' },
    fits: false,
  },
  {
    it: 'an id that looks like an option',
    schema: EntryDefinition,
    value: { ...definition, id: '-s' },
    fits: false,
  },
  { it: 'an unknown key', schema: EntryDefinition, value: { ...definition, managed: true }, fits: false },
  { it: 'a whole second', schema: EntryDefinition, value: { ...definition, timeoutMs: 1000 }, fits: true },
  { it: 'half a second', schema: EntryDefinition, value: { ...definition, timeoutMs: 1500 }, fits: false },
  { it: 'no time at all', schema: EntryDefinition, value: { ...definition, timeoutMs: 0 }, fits: false },
  {
    it: 'a splay of a day',
    schema: EntryDefinition,
    value: { ...definition, splayMs: 86_400_000 },
    fits: false,
  },
  {
    it: 'a schedule for the judge',
    schema: EntryDefinition,
    value: { ...definition, schedule: 'L' },
    fits: true,
  },
  { it: 'an entry', schema: Entry, value: shown, fits: true },
  { it: 'an entry with a run', schema: Entry, value: { ...shown, lastRun: run }, fits: true },
  { it: 'an entry with a secret', schema: Entry, value: { ...shown, password: 'x' }, fits: false },
  { it: 'a run', schema: Run, value: run, fits: true },
  { it: 'a run with two ends', schema: Run, value: { ...run, exit: 1 }, fits: false },
  { it: 'a verdict of no run', schema: Run, value: { ...run, verdict: 'late' }, fits: false },
  { it: 'a preview', schema: SchedulePreview, value: preview, fits: true },
  { it: 'a key', schema: ForeignKey, value: '0123456789abcdef-1', fits: true },
  { it: 'a key of nothing', schema: ForeignKey, value: '0123456789abcdef-0', fits: false },
] as const

for (const { it, schema, value, fits } of ROWS)
  t.equal(schema.safeParse(value).success, fits, `${it} ${fits ? 'fits' : 'does not fit'}`)
t.equal(EntryDefinition.parse(definition).enabled, true, 'an entry is enabled unless told')
