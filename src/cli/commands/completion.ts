import type { Command } from 'commander'
import { UsageError } from '../globals.ts'

/** A completion script made from the commands themselves. */
export function completionScript(program: Command, shell: string): string {
  const words = new Map<string, string[]>()
  const visit = (command: Command, path: string) => {
    const flags = command.options.flatMap(({ long, hidden }) => (long && !hidden ? [long] : []))
    words.set(path, [...command.commands.map((child) => child.name()), ...flags])
    for (const child of command.commands) visit(child, `${path} ${child.name()}`.trim())
  }
  visit(program, '')
  const cases = [...words].map(([path, list]) => `    '${path}') words='${list.join(' ')}' ;;`).join('\n')
  const collect = `  local path='' word words
  for word in "\${before[@]}"; do case "$word" in -*) ;; *) path="\${path:+$path }$word" ;; esac; done
  while :; do case "$path" in
${cases}
    *) if [ "\${path% *}" = "$path" ]; then words=''; else path="\${path% *}"; continue; fi ;;
  esac; break; done`
  if (shell === 'bash')
    return `_agent() {
  local before=("\${COMP_WORDS[@]:1:COMP_CWORD-1}")
${collect}
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _agent agent
`
  if (shell === 'zsh')
    return `#compdef agent
_agent() {
  local before=("\${words[@]:1:$((CURRENT-2))}")
  () {
${collect}
  compadd -- \${=words}
  }
}
compdef _agent agent
`
  if (shell === 'fish')
    return `${[...words]
      .flatMap(([path, list]) => {
        const seen =
          path === '' ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${path.split(' ').at(-1)}`
        return list.map((word) =>
          word.startsWith('--')
            ? `complete -c agent -n '${seen}' -l ${word.slice(2)}`
            : `complete -c agent -f -n '${seen}' -a ${word}`,
        )
      })
      .join('\n')}\n`
  throw new UsageError('the shell is bash, zsh or fish')
}
