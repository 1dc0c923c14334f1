// Rewrites a file for ever, with content of one letter, until it is killed.
import { writeFileAtomic } from '../../src/lib/atomic-file.ts'

const [path = '', size = '0'] = process.argv.slice(2)
for (let round = 0; ; round++) {
  const letter = String.fromCharCode(97 + (round % 26))
  await writeFileAtomic(path, letter.repeat(Number(size)), 0o640)
  if (round === 0) process.stdout.write('first\n')
}
