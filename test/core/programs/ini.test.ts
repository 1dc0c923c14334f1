import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t from 'tap'
import { IniDocument } from '../../../src/core/programs/ini/document.ts'

const CONFIGS = join(import.meta.dirname, 'configs')
const files = readdirSync(CONFIGS).map((name) => ({ name, bytes: readFileSync(join(CONFIGS, name)) }))

await t.test('files as people write them come out as they went in, byte for byte', async (t) => {
  t.ok(files.length >= 30, `${files.length} files`)
  for (const { name, bytes } of files) t.ok(IniDocument.fromBytes(bytes).toBytes().equals(bytes), name)
})

await t.test('so do bytes of any kind', async () => {
  const piece = fc.constantFrom('[a]', 'k=v', ' ', '\n', '\r', '\r\n', ';', '#', '=', '\ufeff', '\udc80', 'é')
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((raw) => Buffer.from(raw)),
    fc.array(piece, { maxLength: 40 }).map((pieces) => Buffer.from(pieces.join(''))),
  )
  fc.assert(
    fc.property(bytes, (raw) => IniDocument.fromBytes(raw).toBytes().equals(raw)),
    { numRuns: 500 },
  )
})

await t.test('what is asked for changes, and nothing else', async (t) => {
  const rows: { it: string; from: string; edit: (file: IniDocument) => void; to: string }[] = [
    {
      it: 'a value, between comments',
      from: '; top\n[program:x] ; head\ncommand = old   ; why\n  # note\nuser=u\n',
      edit: (file) => file.set('program:x', 'command', 'new --flag'),
      to: '; top\n[program:x] ; head\ncommand = new --flag   ; why\n  # note\nuser=u\n',
    },
    {
      it: 'a value of several lines; the comments among them stay',
      from: '[program:x]\r\nenvironment=A="1",\r\n   ; of B\r\n   B="2"\r\n\r\n   C="3"\r\nuser=u\r\n',
      edit: (file) => file.set('program:x', 'environment', 'D="4"'),
      to: '[program:x]\r\nenvironment=D="4"\r\n   ; of B\r\n\r\nuser=u\r\n',
    },
    {
      it: 'the key that counts, when there are several',
      from: '[program:x]\nuser=a\nUser : b\ncommand=c\n',
      edit: (file) => file.set('program:x', 'user', 'z'),
      to: '[program:x]\nuser=a\nUser : z\ncommand=c\n',
    },
    {
      it: 'an empty value',
      from: '[program:x]\nuser =\ncommand=c',
      edit: (file) => file.set('program:x', 'user', 'z'),
      to: '[program:x]\nuser =z\ncommand=c',
    },
    {
      it: 'a new key, after the last one, in the manner of the file',
      from: '[program:x]\n  command = c\n    more\n\n; of y\n[program:y]\ncommand=d\n',
      edit: (file) => file.set('program:x', 'user', 'z'),
      to: '[program:x]\n  command = c\n    more\n  user = z\n\n; of y\n[program:y]\ncommand=d\n',
    },
    {
      it: 'a new key in a file without a last line end',
      from: '[program:x]\r\ncommand=c',
      edit: (file) => file.set('program:x', 'user', 'z'),
      to: '[program:x]\r\ncommand=c\r\nuser=z',
    },
    {
      it: 'a new key in an empty section',
      from: '[program:x]\n; nothing yet\n[program:y]\ncommand=d\n',
      edit: (file) => file.set('program:x', 'command', 'c'),
      to: '[program:x]\ncommand=c\n; nothing yet\n[program:y]\ncommand=d\n',
    },
    {
      it: 'what it already says: no byte',
      from: '[program:x]\ncommand = c   d ;e\n',
      edit: (file) => file.set('program:x', 'command', 'c   d'),
      to: '[program:x]\ncommand = c   d ;e\n',
    },
    {
      it: 'a key taken away, everywhere, with its further lines',
      from: '[program:x]\nuser=a\ncommand=c\n  d\n; stays\nuser=b\nnext=1\n',
      edit: (file) => {
        file.remove('program:x', 'user')
        file.remove('program:x', 'command')
        file.remove('program:x', 'missing')
      },
      to: '[program:x]\n; stays\nnext=1\n',
    },
    {
      it: 'bytes that are no text stay',
      from: '; \udcff\n[program:x]\ncommand=c\n',
      edit: (file) => file.set('program:x', 'command', 'd'),
      to: '; \udcff\n[program:x]\ncommand=d\n',
    },
  ]
  for (const { it, from, edit, to } of rows) {
    const file = IniDocument.parse(from)
    edit(file)
    t.equal(file.text, to, it)
  }
})

await t.test('a change that would say anything else is refused, and not made', async (t) => {
  const rows: { it: string; from: string; edit: (file: IniDocument) => void }[] = [
    {
      it: 'a value that ends in a comment',
      from: '[program:x]\ncommand=c\n',
      edit: (file) => file.set('program:x', 'command', 'a ; b'),
    },
    {
      it: 'a value with a line of its own',
      from: '[program:x]\ncommand=c\n',
      edit: (file) => file.set('program:x', 'command', 'a\n[program:evil]\ncommand=b'),
    },
    {
      it: 'a value that is cut',
      from: '[program:x]\ncommand=c\n',
      edit: (file) => file.set('program:x', 'command', 'a '),
    },
    {
      it: 'a value where the sign is taken for a comment',
      from: '[program:x]\ncommand = c\n',
      edit: (file) => file.set('program:x', 'command', ';a'),
    },
    {
      it: 'a key of a section that is not there',
      from: '[program:x]\ncommand=c\n',
      edit: (file) => file.set('program:y', 'command', 'a'),
    },
    {
      it: 'a new key that the next header would become a part of',
      from: '[program:x]\n [program:y]\ncommand=c\n',
      edit: (file) => file.set('program:x', 'user', 'a'),
    },
    {
      it: 'a value with a line end of old',
      from: '[program:x]\ncommand=c\n[program:y]\ncommand=c\n',
      edit: (file) => file.set('program:y', 'command', 'a\r[program:z]'),
    },
  ]
  for (const { it, from, edit } of rows) {
    const file = IniDocument.parse(from)
    t.throws(() => edit(file), { code: 'PROGRAM_INVALID' }, it)
    t.equal(file.text, from, `${it}: unchanged`)
  }
})

await t.test('a file is read as it then stands', async (t) => {
  const file = IniDocument.parse(
    '[DEFAULT]\nuser=d\n[program:x]\ncommand=a\n  b\n[program:x]\nCOMMAND=c ; d\n',
  )
  t.equal(file.get('program:x', 'command'), 'c')
  t.equal(file.get('program:x', 'user'), 'd')
  t.equal(file.get('program:x', 'umask'), null)
  t.equal(file.get('program:y', 'umask'), null)
  file.set('program:x', 'user', 'e')
  t.equal(file.get('program:x', 'user'), 'e')
  t.strictSame(
    file.sections().map(({ header, file: path, line }) => [header, path, line]),
    [['program:x', '', 3]],
  )
})

await t.test('random changes of real files keep all the rest', async () => {
  const texts = files.map(({ bytes }) => IniDocument.fromBytes(bytes).text)
  const keys = ['command', 'user', 'environment', 'numprocs', 'stdout_logfile', 'x-new']
  const change = fc.record({
    text: fc.constantFrom(...texts),
    section: fc.nat(5),
    key: fc.constantFrom(...keys),
    value: fc.option(fc.constantFrom('1', '/bin/a "b;c" %%', 'A="1",B=";"', ''), { nil: null }),
  })
  fc.assert(
    fc.property(change, ({ text, section, key, value }) => {
      const file = IniDocument.parse(text)
      const { header } = file.sections()[section] ?? {}
      if (header === undefined) return
      if (value === null) file.remove(header, key)
      else file.set(header, key, value)
      if (value !== null && file.get(header, key) !== value)
        throw new Error(`${key} is ${file.get(header, key)}`)
      const kept = new Set(text.split(/\r\n|\r|\n/).filter((line) => /^\s*[;#]/.test(line)))
      const left = new Set(file.text.split(/\r\n|\r|\n/))
      for (const comment of kept) if (!left.has(comment)) throw new Error(`lost: ${comment}`)
    }),
    { numRuns: 500 },
  )
})
