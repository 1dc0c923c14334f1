import t from 'tap'
import { localAgent } from '../../../src/core/access/local-principals.ts'
import { mayUseProgram, seesAllPrograms } from '../../../src/core/access/principal.ts'

const agent = localAgent({ localScopes: ['read'], localPrograms: ['*'], localUsers: [] })

await t.test('programs of a principal', async (t) => {
  const rows = [
    { programs: ['*'], sees: ['web', 'xweb-1'], all: true },
    { programs: ['web-*'], sees: ['web-1'], all: false },
    { programs: ['web-*', 'db'], sees: ['web-1', 'db'], all: false },
    { programs: ['**'], sees: ['web', 'xweb-1'], all: false },
    { programs: [], sees: [], all: false },
  ]
  for (const { programs, sees, all } of rows) {
    const principal = { ...agent, programs }
    const test = mayUseProgram(principal)
    for (const program of ['web', 'web-1', 'xweb-1', 'db'])
      t.equal(
        test(program),
        all || programs.includes('**') || sees.includes(program),
        `${programs.join()} on ${program}`,
      )
    t.equal(seesAllPrograms(principal), all)
  }
})
