import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { loadConfig, loadDaemonConfig, parseConfig } from '../src/config.ts'
import { configWarnings } from '../src/config-owner.ts'

const skip = process.getuid?.() === 0 ? false : 'only root has something to lose'

function place(t: { teardown(undo: () => unknown): void }): { folder: string; file: string } {
  const folder = mkdtempSync(join(tmpdir(), 'co-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'etc'))
  const file = join(folder, 'etc', 'config.yaml')
  writeFileSync(file, 'policy: { readOnly: true }\n', { mode: 0o600 })
  return { folder, file }
}

await t.test('a daemon of root takes its policy from root alone', { skip }, async (t) => {
  const rows = [
    { uid: 0, gid: 0, mode: 0o600, says: null },
    { uid: 0, gid: 0, mode: 0o644, says: null },
    { uid: 0, gid: 0, mode: 0o660, says: /writable by the group 0/ },
    { uid: 0, gid: 1500, mode: 0o640, says: null },
    { uid: 0, gid: 1500, mode: 0o660, says: /writable by the group 1500 \(mode 0660\)/ },
    { uid: 0, gid: 0, mode: 0o666, says: /writable by everybody \(mode 0666\)/ },
    { uid: 1500, gid: 0, mode: 0o600, says: /belongs to uid 1500.*chown root/ },
  ]
  for (const { uid, gid, mode, says } of rows) {
    const { file, folder } = place(t)
    chownSync(file, uid, gid)
    chmodSync(file, mode)
    const link = join(folder, 'etc', 'link.yaml')
    symlinkSync(file, link)
    for (const path of [file, link]) {
      const name = `uid ${uid}, gid ${gid}, mode ${mode.toString(8)}`
      if (says === null) t.equal(loadDaemonConfig(path).policy.readOnly, true, name)
      else t.throws(() => loadDaemonConfig(path), { name: 'ConfigError', message: says }, name)
      t.equal(loadConfig(path).policy.readOnly, true, 'the command line, which has no policy, reads it')
    }
  }
})

await t.test('folders that others can write are told', { skip }, async (t) => {
  const { folder, file } = place(t)
  t.same(await configWarnings(file), [])
  t.same(await configWarnings(join(folder, 'none')), [])
  chmodSync(join(folder, 'etc'), 0o775)
  chownSync(join(folder, 'etc'), 0, 1500)
  t.match(await configWarnings(file), [/etc is writable by the group 1500.*another config file/])
  chmodSync(join(folder, 'etc'), 0o755)
  chownSync(folder, 1500, 0)
  t.match(await configWarnings(file), [/belongs to uid 1500/])
})

await t.test('users of the policy are named one by one', (t) => {
  for (const name of ['www-data', '33', 'svc.web_1', 'machine$'])
    t.same(parseConfig(`policy: { users: ['${name}'] }`, 'test').policy.users, [name])
  for (const name of ['*', 'web*', '', '-l', 'a b', 'a:b', 'a/b'])
    t.throws(() => parseConfig(`policy: { users: ['${name}'] }`, 'test'), {
      message: /policy\.users\.0: expected the name of a system user; there is no \* for all/,
    })
  t.end()
})
