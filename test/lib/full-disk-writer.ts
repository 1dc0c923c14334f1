// Writes records until the disk of that folder is full, then frees some and goes on. Prints what it saw.
import { readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RecordFiles } from '../../src/lib/record-files.ts'

const [folder = ''] = process.argv.slice(2)
const ballast = join(folder, 'ballast')
writeFileSync(ballast, 'x'.repeat(16_384))
const records = join(folder, 'r')
const limits = { fileBytes: 1e6, totalBytes: 1e6, keepMs: 60_000 }
const files = new RecordFiles({ folder: records, now: Date.now, ...limits })
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
const path = join(records, readdirSync(records)[0] ?? '')
const lines = readFileSync(path, 'latin1').split('\n')
const isWhole = lines.pop() === '' && lines.length === written
unlinkSync(ballast)
files.append(written + 1, 'more')
files.close()
const goesOn = readFileSync(path, 'latin1').endsWith('\nmore\n')
process.stdout.write(JSON.stringify({ code, isWhole, goesOn }))
