// What a change of a program's file comes to: the files to write, the steps with the groups, the diff.
import { isDeepStrictEqual } from 'node:util'
import { isoTime } from '../../lib/iso-time.ts'
import type { Definition } from '../../protocol/definition.ts'
import type { DefinitionIssue, PlanAction } from '../../protocol/program.ts'
import type { ResolvedProgram, Verdict } from '../policy/subject.ts'
import type { ConfigError } from '../supervisor/config-file.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import type { Change } from './change-runner.ts'
import { unifiedDiff } from './diff.ts'
import { type Effect, effectOf, type How } from './effects.ts'
import { type FileChange, readConfigFile } from './file-change.ts'
import { IniDocument } from './ini/document.ts'
import { factsOf, type ProgramState, type SectionFacts, sectionOf } from './program-state.ts'
import { revisionOf } from './render.ts'

/** Environments hold secrets, and supervisord alone reads these files. */
const MODE = 0o600

/** The wish of a call, with its new file made and judged. */
export interface Draft {
  name: string
  action: string
  actor: string
  path: string
  before: ProgramState | null
  /** The new content; null when the program goes. */
  text: string | null
  how: How
  /** What was asked for, where it was a definition. */
  asked?: Definition
  /** Changes of other files that go with it, before the program's own. */
  others?: FileChange[]
  warnings: string[]
  issues: DefinitionIssue[]
  judged: Verdict<ResolvedProgram> | null
  /**
   * The file was changed by others, and whether supervisord has read that is not known before it reads again; with the
   * text that it was given last, where that is known.
   */
  unread?: { runs: string | null }
}

/** What is carried out of a call. */
export type Deeds = Omit<Prepared, 'ifRead'>

/** All that a call would do. */
export interface Prepared {
  change: Change
  /** False when all is as it is to be already, and known as it was asked for. */
  isNew: boolean
  diff: string
  actions: PlanAction[]
  warnings: string[]
  /** Why it cannot be done; a plan shows them, anything else is refused. */
  issues: DefinitionIssue[]
  /** What of other files supervisord refuses already. */
  broken: ConfigError[]
  /** What must come up for the change to stand. */
  expects: readonly string[]
  /** Of another number of processes: what comes and what goes. */
  started: readonly string[]
  stopped: readonly string[]
  startSecs: number
  judged: Verdict<ResolvedProgram> | null
  /** What it comes to where supervisord has read already what others made of the file; null where nobody did. */
  ifRead: Deeds | null
}

export async function prepared({ unread, ...draft }: Draft, discovery: Discovery): Promise<Prepared> {
  const ifRead = await deedsOf(draft, discovery)
  if (unread === undefined) return { ...ifRead, ifRead: null }
  const how = draft.how === 'none' || draft.how === 'scale' ? 'restart' : draft.how
  const made = await deedsOf({ ...draft, how }, discovery, unread.runs)
  if (how === draft.how) return { ...made, ifRead }
  const warning = `${draft.path} was changed by others: where supervisord has not read that yet, ${draft.name} restarts`
  return { ...made, warnings: [...made.warnings, warning], ifRead }
}

async function deedsOf(
  draft: Omit<Draft, 'unread'>,
  discovery: Discovery,
  runs: string | null = null,
): Promise<Deeds> {
  const { name, before, text, path } = draft
  const facts = text === null ? null : factsOf(sectionOf(name, text), discovery)
  const old = runs === null ? before : factsOf(sectionOf(name, runs), discovery)
  const effect = effectOf({
    name,
    how: draft.how,
    start: facts?.start ?? before?.start ?? 0,
    before: before?.count ?? 0,
    wanted: facts?.count ?? 0,
    autostart: facts?.autostart ?? true,
    instances: before?.instances ?? [],
    surges: before?.at.surges ?? [],
    names: facts?.names ?? [],
    old: { names: old?.names ?? [], start: old?.start ?? 0 },
  })
  const own: FileChange = {
    path,
    before: before?.at.file === path ? before.file.text : null,
    after: text,
    ...(runs === null ? {} : { runs }),
    ...ownership(before?.file ?? null, discovery),
  }
  const files = [
    // one that stays as it is says all the same what an undo lets supervisord read
    ...(own.before === own.after && runs === null ? [] : [own]),
    ...(draft.others ?? []),
    ...(await surgeFiles(draft, effect, own)),
  ]
  const at = isoTime()
  // options of a preset need not show in the file
  const isTold = draft.asked === undefined || isDeepStrictEqual(draft.asked, before?.kept?.definition)
  return {
    isNew: files.length > 0 || effect.steps.length > 0 || !isTold,
    change: {
      program: name,
      action: draft.action,
      actor: draft.actor,
      at,
      files,
      steps: effect.steps,
      kept: keptOf(draft, at),
    },
    diff: files.map((file) => unifiedDiff(file.path, file.before, file.after)).join(''),
    actions: effect.actions,
    warnings: [...draft.warnings, ...scaleWarnings(draft, facts)],
    issues: draft.issues,
    broken: [],
    expects: effect.expects,
    started: effect.started,
    stopped: effect.stopped,
    startSecs: facts?.startSecs ?? 0,
    judged: draft.judged,
  }
}

function keptOf({ text, asked, actor, action }: Draft, at: string): Change['kept'] {
  if (text === null) return null
  return {
    revision: revisionOf(text),
    at,
    actor,
    method: `program.${action}`,
    text,
    ...(asked ? { definition: asked } : {}),
  }
}

/** As whoever reads it: supervisord, which need not run as root. An existing file stays as it is. */
function ownership(
  file: ProgramState['file'] | null,
  { supervisord }: Discovery,
): Pick<FileChange, 'mode' | 'owner'> {
  if (file !== null) return { mode: file.mode, owner: file.owner }
  if (process.getuid?.() !== 0 || !supervisord) return { mode: MODE }
  return { mode: MODE, owner: { uid: supervisord.uid, gid: supervisord.gid } }
}

async function surgeFiles(
  { name, text, path }: Draft,
  { deleted, surge }: Effect,
  { mode, owner }: FileChange,
): Promise<FileChange[]> {
  const files: FileChange[] = []
  const as = { mode, ...(owner ? { owner } : {}) }
  for (const file of deleted) {
    const before = (await readConfigFile(file))?.text
    if (before !== undefined) files.push({ path: file, before, after: null, ...as })
  }
  if (surge === null || text === null) return files
  const extension = path.slice(path.lastIndexOf('.'))
  const file = path.replace(`agent-${name}${extension}`, `agent-${surge.group}${extension}`)
  return [...files, { path: file, before: null, after: surgeText(name, text, surge), ...as }]
}

/** The program once more under another group's name, for the numbers that its own group lacks. */
function surgeText(
  name: string,
  text: string,
  surge: { group: string; start: number; count: number },
): string {
  const keys = new Map(sectionOf(name, text).keys)
  keys.set('process_name', `${name}_%(process_num)02d`)
  keys.set('numprocs', String(surge.count))
  keys.set('numprocs_start', String(surge.start))
  // after a restart of supervisord the program's own group has all of them
  keys.set('autostart', 'false')
  const head = `; Processes of ${name} beyond those of its own group; goes with its next full restart.\n`
  const document = IniDocument.parse(`${head}[program:${surge.group}]\n`)
  const header = `program:${surge.group}`
  for (const [key, value] of keys)
    document.set(
      header,
      key,
      value
        .split('\n')
        .map((line) => line.trim())
        .join(' ')
        .replaceAll(/%\((?:program|group)_name\)s/g, name),
    )
  return document.text
}

function scaleWarnings({ name, how }: Draft, facts: SectionFacts | null): string[] {
  if (how !== 'scale' || facts === null) return []
  return [
    `until its next full restart ${name} runs in more than one group, or has more processes in supervisord than its file asks for: a supervisorctl update would restart the group ${name}`,
  ]
}
