import { type CrontabLine, shown } from './table-lines.ts'

/** A tool that writes crontabs, by the mark that it leaves. */
export interface Owner {
  tool: string
  /** The tool's own name for the job; empty when it has none. */
  name: string
}

/** Marks that stand on the line above a job. */
const ABOVE = [
  { tool: 'Ansible', mark: /^#Ansible: (.*)$/ },
  { tool: 'Puppet', mark: /^# Puppet Name: (.*)$/ },
  { tool: 'Chef', mark: /^# Chef Name: (.*)$/ },
  { tool: 'Salt', mark: /^# .*SALT_CRON_IDENTIFIER:(.*)$/ },
]
/** Marks around many lines. */
const AROUND = [
  {
    tool: 'whenever',
    begin: /^# Begin Whenever generated tasks for: (.*?)(?: at: .*)?$/,
    end: /^# End Whenever generated tasks for: /,
  },
  { tool: 'Ansible', begin: /^# BEGIN (.*ANSIBLE.*)$/, end: /^# END .*ANSIBLE/ },
]

/** Tells line by line, from the top on, whose job a line is. */
export class OwnerWatch {
  #above: Owner | null = null
  #around: { owner: Owner; end: RegExp } | null = null

  /** Takes the next line, without its end; the owner of it, if it is a job. */
  see(line: string, { kind }: CrontabLine): Owner | null {
    if (kind !== 'comment') {
      const owner = this.#above ?? this.#around?.owner ?? null
      this.#above = null
      return owner
    }
    this.#above = ownerAbove(line)
    if (this.#around?.end.test(line)) this.#around = null
    for (const { tool, begin, end } of AROUND) {
      const name = begin.exec(line)?.[1]
      if (name !== undefined) this.#around = { owner: { tool, name: shown(name) }, end }
    }
    return null
  }
}

function ownerAbove(line: string): Owner | null {
  for (const { tool, mark } of ABOVE) {
    const name = mark.exec(line)?.[1]
    if (name !== undefined) return { tool, name: shown(name).trim() }
  }
  return null
}
