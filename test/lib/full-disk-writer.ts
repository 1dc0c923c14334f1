// Writes records until the disk of that folder is full, then frees some and goes on. Prints what it saw.
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RecordFiles } from '../../src/lib/record-files.ts'

const [folder = ''] = process.argv.slice(2)
const ballast = join(folder, 'ballast')
writeFileSync(ballast, 'x'.repeat(16_384))
const files = new RecordFiles({ folder: join(folder, 'r'), fileBytes: 1e6, totalBytes: 1e6, keepMs: 60_000 })
const path = join(folder, 'r', '0000000000000001.jsonl')
let written = 0
let code: unknown
try {
  for (;;) {
    files.append(written + 1, 'x'.repeat(3000 + written))
    written++
  }
} catch (error) {
  code = (error as NodeJS.ErrnoException).code
}
const lines = readFileSync(path, 'latin1').split('\n')
const isWhole = lines.pop() === '' && lines.length === written
unlinkSync(ballast)
files.append(written + 1, 'more')
files.close()
const goesOn = readFileSync(path, 'latin1').endsWith('\nmore\n')
process.stdout.write(JSON.stringify({ code, isWhole, goesOn }))
