import { readdirSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { fromBytes, toBytes } from '../../../src/core/programs/ini/bytes.ts'
import { readEnvironment } from '../../../src/core/supervisor/config-environment.ts'
import { environmentExpansions } from '../../../src/core/supervisor/config-expand.ts'
import { readConfigTree } from '../../../src/core/supervisor/config-tree.ts'
import {
  readBoolean,
  readBytes,
  readExitCodes,
  readInteger,
  readList,
  readOctal,
  readRestart,
  readSignal,
} from '../../../src/core/supervisor/config-values.ts'
import { judgeTree } from '../../../src/core/supervisor/verdict.ts'
import type { Fault, HostFacts } from '../../../src/core/supervisor/verdict-keys.ts'
import { type Parsed, SupervisorParser } from '../../fixtures/supervisor-parser.ts'
import { Dice, mutated } from '../programs/mutations.ts'

const CASES = Number(process.env['PROGRAM_CASES'] ?? 500)
const CONFIGS = join(import.meta.dirname, '../programs/configs')
/** No folder of this test is on the disk. */
const FOLDER = '/nowhere/etc/supervisor'
const MAIN = `${FOLDER}/supervisord.conf`
const USERS = {
  root: 0,
  'www-data': 33,
  nobody: 65_534,
  deploy: 1000,
  forge: 1001,
  www: 1002,
  acct: 1003,
  exampleuser: 1004,
}
const GROUPS = { root: 0, wheel: 10, 'www-data': 33 }
const ENVIRONMENT = { HOME: '/root', USER: 'root', PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' }
const MISSING = '/nowhere/log'

const facts: HostFacts = {
  isFolder: async (path) => !isMissing(path),
  findUser: async (user) => {
    const uid = Object.entries(USERS).find(([name, number]) => name === user || number === user)?.[1]
    return uid === undefined ? null : { uid }
  },
  hasGroup: async (group) =>
    Object.entries(GROUPS).some(([name, number]) => name === group || number === group),
  cwd: '/',
  home: ENVIRONMENT.HOME,
  seesVariables: true,
}

function isMissing(path: string): boolean {
  return path === MISSING || path === '/nowhere'
}

const parser = new SupervisorParser(t)
const configs = new Map(
  readdirSync(CONFIGS).map((name) => [name, fromBytes(readFileSync(join(CONFIGS, name)))] as const),
)
const standard = `[supervisord]\n[unix_http_server]\nfile=/run/s.sock\n[include]\nfiles=conf.d/*.conf\n`

/** The files of a host with one of the configs as its main file or as one that the main file includes. */
function hostOf(text: string): Record<string, string> {
  return text.includes('[supervisord]')
    ? { [MAIN]: text }
    : { [MAIN]: standard, [`${FOLDER}/conf.d/x.conf`]: text }
}

async function ours(files: Record<string, string>): Promise<Fault[]> {
  const overlay = new Map(Object.entries(files).map(([path, text]) => [path, toBytes(text)]))
  const expansions = { ...environmentExpansions(ENVIRONMENT), here: FOLDER, host_node_name: hostname() }
  return await judgeTree(await readConfigTree(MAIN, expansions, { overlay }), { expansions, facts })
}

function theirs(files: Record<string, string>): Promise<Parsed> {
  return parser.parse({
    files,
    users: USERS,
    groups: GROUPS,
    environment: ENVIRONMENT,
    missing: [MISSING, '/nowhere'],
  })
}

await t.test('files as people write them get the verdict of supervisord', async (t) => {
  const refused: string[] = []
  for (const [name, text] of configs) {
    const files = hostOf(text)
    const [faults, their] = [await ours(files), await theirs(files)]
    t.equal(faults.length > 0, their.fault !== null, `${name}: ${their.fault ?? 'taken'}`)
    if (their.fault !== null) refused.push(name)
    for (const { file, line, message } of faults) {
      t.ok(Object.hasOwn(files, file) && line > 0, `${name}: ${file}:${line}`)
      t.match(message, /\S/)
    }
  }
  t.ok(
    refused.length >= 15 && configs.size - refused.length >= 30,
    `${refused.length} of ${configs.size} are refused`,
  )
})

await t.test('so do files that a hand slipped in', async (t) => {
  const dice = new Dice(Number(process.env['PROGRAM_SEED'] ?? 20_261_122))
  const texts = [...configs.values()].filter((text) => text.length > 40)
  const wrong: { text: string; ours: Fault[]; theirs: string | null }[] = []
  let taken = 0
  for (let count = 0; count < CASES; count++) {
    const files = hostOf(mutated(dice.one(texts), dice))
    const [faults, their] = [await ours(files), await theirs(files)]
    if (their.fault === null) taken++
    // a plugin is imported by supervisord alone
    if (faults.length > 0 === (their.fault !== null) || their.fault?.includes('cannot be resolved')) continue
    wrong.push({ text: Object.values(files).at(-1) ?? '', ours: faults, theirs: their.fault })
  }
  t.strictSame(wrong.slice(0, 5), [], `${wrong.length} of ${CASES} differ`)
  t.ok(taken > CASES / 5 && taken < (CASES * 4) / 5, `${taken} of ${CASES} are taken`)
})

const READERS: Record<string, (text: string) => unknown> = {
  integer: readInteger,
  octal: readOctal,
  boolean: readBoolean,
  restart: readRestart,
  bytes: readBytes,
  'exit-codes': readExitCodes,
  list: readList,
  environment: (text) => {
    const found = readEnvironment(text)
    return found && Object.fromEntries(found)
  },
}

const PIECES = [
  ...'0 1 7 8 9 12 255 256 _ + - . 0o 0x x KB mb Gb true OFF yes unexpected , ; = "'.split(' '),
  ...'A B=1 C="x y" \' " # / : ( ) @ ? & % é ٣ １ \\ ,, TERM SIG SIGTERM 15'.split(' '),
  ' ',
  '\n',
  '\u00a0',
  '\t',
]

await t.test('values are taken for what supervisord takes them for', async (t) => {
  const dice = new Dice(3)
  const rows = Object.keys(READERS).flatMap((kind) =>
    Array.from({ length: 2500 }, () => ({
      kind,
      text: Array.from({ length: 1 + dice.below(6) }, () => dice.one(PIECES)).join(''),
    })),
  )
  const their = await parser.values(rows)
  const wrong = rows.flatMap((row, index) => {
    const our = READERS[row.kind]?.(row.text)
    return isDeepStrictEqual(our, their[index]) ? [] : [{ ...row, our, their: their[index] }]
  })
  t.strictSame(wrong.slice(0, 10), [], `${wrong.length} of ${rows.length} differ`)
  t.ok(their.filter((value) => value !== null).length > rows.length / 10, 'many are taken')
})

await t.test('signals are those of Python', async (t) => {
  const names =
    'HUP INT QUIT KILL USR1 USR2 ABRT ALRM WINCH TERM sigterm Sig_Ign _DFL SIG SIGNAL NOPE IOT CLD POLL RTMIN RTMAX'
  const numbers = Array.from({ length: 70 }, (_, number) => String(number))
  const rows = [...names.split(' '), ...numbers, ' 15 ', '+9', '1_5', '-1'].map((text) => ({
    kind: 'signal',
    text,
  }))
  const byName = rows.map(({ text }) => ({
    kind: 'signal',
    text: readSignal(text)?.replace(/^_/, 'SIG_') ?? 'NOPE',
  }))
  t.strictSame(await parser.values(byName), await parser.values(rows))
})
