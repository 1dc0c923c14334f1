import { readFileSync } from 'node:fs'

/** The number of a group of this host; undefined when there is none of that name. */
export function groupId(name: string, file = '/etc/group'): number | undefined {
  try {
    const line = readFileSync(file, 'utf8')
      .split('\n')
      .find((text) => text.startsWith(`${name}:`))
    const id = Number(line?.split(':')[2])
    return line !== undefined && Number.isInteger(id) ? id : undefined
  } catch {
    return undefined
  }
}
