import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { basename, dirname, normalize } from 'node:path'
import { hasMagic, matchesName } from './glob-files.ts'

interface Places {
  mainFile: string | null
  includes: readonly string[]
  problems: string[]
}

/** The folder and the extension that a program file must have; what is wrong with them goes to `problems`. */
export async function findProgramDir(
  options: { programDir: string; programExt: string },
  { mainFile, includes, problems }: Places,
): Promise<{ programDir: string | null; programExt: string }> {
  const globs = includes.filter((pattern) => !hasMagic(dirname(pattern)))
  if (options.programDir !== 'auto') {
    const programDir = normalize(options.programDir).replace(/(.)\/$/, '$1')
    const own = globs.find((pattern) => dirname(pattern) === programDir)
    const programExt = extensionFor(own ?? '', options.programExt)
    if (
      !includes.some((pattern) => dirname(pattern) === programDir && takes(pattern, programExt)) &&
      mainFile !== null
    )
      problems.push(
        `supervisord does not read ${programDir}: add to ${mainFile} under [include] the line "files = ${programDir}/*.${programExt}"`,
      )
    await checkFolder(programDir, problems)
    return { programDir, programExt }
  }
  for (const pattern of globs) {
    const programExt = extensionFor(pattern, options.programExt)
    if (!takes(pattern, programExt) || !(await isFolder(dirname(pattern)))) continue
    await checkFolder(dirname(pattern), problems)
    return { programDir: dirname(pattern), programExt }
  }
  if (mainFile !== null) problems.push(await noFolder(mainFile, includes, globs))
  return { programDir: null, programExt: extensionFor(globs[0] ?? '', options.programExt) }
}

async function noFolder(
  mainFile: string,
  includes: readonly string[],
  globs: readonly string[],
): Promise<string> {
  const folder = `${dirname(mainFile)}/conf.d`
  const lines = `"[include]" and "files = ${folder}/*.conf", make the folder, and restart nothing: a reread is enough`
  if (includes.length === 0)
    return `${mainFile} includes no files, so there is no place for program files: add to it ${lines}`
  const missing = globs.find((pattern) => takes(pattern, extensionFor(pattern, 'auto')))
  if (missing !== undefined)
    return `the folder of "files = ${missing}" in ${mainFile} is missing: mkdir -p ${dirname(missing)}`
  return `none of the globs in [include] of ${mainFile} takes a file agent-NAME.conf: add ${folder}/*.conf to its "files"`
}

function extensionFor(pattern: string, wanted: string): string {
  if (wanted !== 'auto') return wanted.replace(/^\./, '')
  return /\.([A-Za-z0-9]+)$/.exec(basename(pattern))?.[1] ?? 'conf'
}

/** Would the glob take the files that we name? */
function takes(pattern: string, extension: string): boolean {
  return matchesName(basename(pattern), `agent-name.${extension}`)
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

async function checkFolder(folder: string, problems: string[]): Promise<void> {
  const why = await whyNotWritable(folder)
  if (why !== null) problems.push(why)
}

/** Why the agent cannot put a file into a folder, with the way out; null when it can. */
export async function whyNotWritable(folder: string): Promise<string | null> {
  if (!(await isFolder(folder))) return `${folder} is missing: mkdir -p ${folder}`
  const code = await access(folder, constants.W_OK).then(
    () => null,
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  )
  if (code === null) return null
  const cure =
    code === 'EROFS'
      ? `add the line "ReadWritePaths=${folder}" to the [Service] of its systemd unit, or mount the disk for writing`
      : 'run it as root, or give it the right to write there'
  return `${folder} is not writable for the agent (${code}): ${cure}`
}
