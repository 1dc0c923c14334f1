// Definitions made at random, heavy with what the file of supervisord has a meaning for. The words of the command are
// known beforehand, so that what a process gets is compared with what was meant, not with what we make of it.
import * as fc from 'fast-check'
import { type Definition, STOP_SIGNALS } from '../../../src/protocol/definition.ts'

export interface Meant {
  definition: Definition & { command: string; processes: number }
  /** The command's words; `%(process_num)02d` and its kind stand for the number. */
  words: string[]
}

const PIECES = [
  ...'% %% %s %d %( ) %(h)s %(asctime)s 100% %(process_num)d %(process_num)02d %(process_num)s'.split(' '),
  ...'; # ;# \' " \'\' "" \\ \\\\ , = : / $ ` ~ * ? [ ] { } ( ) < > & | ! @ ^ + - _ . a b Z 0 7 é ß 中 👍'.split(
    ' ',
  ),
  ' ',
  '  ',
  ' ;',
  ' #',
  ' ; x',
  '\u00a0',
  '\u00a0;',
  '\u2003#',
  '\u200b',
  '\ufeff',
  '[program:evil]',
  'command=',
  'A="1",B="2"',
  '{"a":1}',
  'KEY=val',
  'none',
  'auto',
  'syslog',
  '\\"',
  "\\'",
]

const text = fc
  .array(fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: 'grapheme', maxLength: 3 })), {
    maxLength: 8,
  })
  .map((pieces) => pieces.join('').replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/gu, ''))
  // what stands for something of supervisord is refused, which other tests see to
  .map((made) => made.replace(/%\((?:here|program_name|group_name|host_node_name|numprocs|ENV_)/g, '('))
  .map((made) => made.replace(/%\(process_num\)(?!0?\d?[ds])/g, '('))

const quotings: ((word: string) => string)[] = [
  (word) => `'${word.replaceAll("'", `'\\''`)}'`,
  (word) => `"${word.replace(/["\\]/g, '\\$&')}"`,
  (word) => (word === '' ? `''` : word.replace(/[^A-Za-z0-9_%()]/gu, '\\$&')),
]

const word = fc
  .tuple(text, fc.constantFrom(...quotings))
  .map(([meant, quote]) => ({ meant, written: quote(meant) }))

const environment = fc
  .dictionary(fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,9}$/), text, { maxKeys: 6, noNullPrototype: true })
  .map((variables) => {
    // names that the shell of the test or supervisord itself set
    const own = Object.entries(variables).filter(
      ([name]) => !/^(?:__proto__|SUPERVISOR_.*|PWD|_|SHLVL)$/.test(name),
    )
    return Object.fromEntries(own.map(([name, value]) => [name, carried(value)]))
  })

/** The value without what no file of supervisord can carry. */
function carried(value: string): string {
  const once = value
    .replace(/^['"]+|['"]+$/g, '')
    .replace(/(\s)[;#]+/gu, '$1')
    .replace(/["\\]/g, (sign) => (value.includes("'") ? '' : sign))
  return once === value ? value : carried(once)
}

const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined })

const fileName = text.map((name) => carried(name.replace(/[%/]/g, '')).trim().slice(0, 40))

export interface Place {
  directories: readonly string[]
  logFolder: string
  user?: string
}

/** @param command what the words are given to; it must need no quotes */
export function definitions(command: string, place: Place): fc.Arbitrary<Meant> {
  const bytes = fc.integer({ min: 0, max: 2 ** 31 - 1 })
  const logFile = fc
    .tuple(fileName, fc.constantFrom('%(process_num)02d', '%(process_num)d.x', '%(process_num)5s'))
    .map(([name, number]) => `${place.logFolder}/x${name}-${number}`)
  const shape = fc.record({
    words: fc.array(word, { maxLength: 6 }),
    processes: fc.integer({ min: 1, max: 2 }),
    numprocsStart: optional(fc.integer({ min: 0, max: 120 })),
    directory: optional(fc.constantFrom(...place.directories)),
    user: fc.constant(place.user),
    umask: optional(fc.stringMatching(/^0?[0-7]{3}$/)),
    environment: optional(environment),
    priority: optional(fc.integer({ min: -1000, max: 1000 })),
    autorestart: optional(fc.constantFrom(true, false, 'unexpected' as const)),
    startSecs: optional(fc.integer({ min: 0, max: 100 })),
    startRetries: optional(fc.nat(100)),
    exitCodes: optional(fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 4 })),
    stopSignal: optional(fc.constantFrom(...STOP_SIGNALS)),
    stopWaitSecs: optional(fc.nat(604_800)),
    stopAsGroup: optional(fc.constant(false)),
    redirectStderr: optional(fc.boolean()),
    stdoutLogfile: optional(logFile.map((file) => `${file}.out`)),
    stderrLogfile: optional(logFile.map((file) => `${file}.err`)),
    stdoutLogfileMaxBytes: optional(bytes),
    stderrLogfileBackups: optional(fc.nat(1000)),
    stdoutCaptureMaxBytes: optional(bytes),
    stderrEventsEnabled: optional(fc.boolean()),
    serverurl: optional(fc.constantFrom('AUTO', 'unix:///run/a%b.sock', 'http://u:p@h:9001/?q=1;2#x')),
    limits: optional(
      fc
        .record(
          {
            nice: fc.integer({ min: 0, max: 19 }),
            memoryBytes: fc.integer({ min: 2 ** 30, max: 2 ** 40 }),
            openFiles: fc.integer({ min: 64, max: 1000 }),
          },
          { requiredKeys: [], noNullPrototype: true },
        )
        .filter((limits) => Object.keys(limits).length > 0),
    ),
  })
  return fc
    .tuple(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,12}$/), shape)
    .map(([stem, { words, ...fields }]) => {
      const given = Object.entries(fields).filter(([, value]) => value !== undefined)
      return {
        definition: {
          name: `${stem}-x`,
          command: [command, ...words.map(({ written }) => written)].join(' '),
          ...(Object.fromEntries(given) as typeof fields & { processes: number }),
        },
        words: words.map(({ meant }) => meant),
      }
    })
}

/** A text with the number of a process in its place, as Python's `%` operator puts it there. */
export function numbered(meant: string, number: number): string {
  return meant.replace(/%\(process_num\)(0?)(\d?)([ds])/g, (_, zero: string, width: string, type: string) =>
    zero !== '' && type === 'd'
      ? String(number).padStart(Number(width), '0')
      : String(number).padStart(Number(width)),
  )
}
