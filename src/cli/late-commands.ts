// Commands whose arguments and options are made when they are run or shown: they come from the schemas of methods,
// and to make those of all would take a start longer than most calls take.
import type { Command } from 'commander'

const UNMADE = new WeakMap<Command, () => void>()

/** Has `make` give a command its arguments and options once they are needed. */
export function makeLate(command: Command, make: () => void): void {
  UNMADE.set(command, make)
}

/** Makes what is run and what is shown of a command that has others; to be called for each of these. */
export function withLateCommands(parent: Command): void {
  parent.hook('preSubcommand', (_parent, command) => made(command))
  parent.addHelpText('beforeAll', ({ command }) => {
    made(command)
    command.commands.forEach(made)
    return ''
  })
}

/** Makes all commands, for what shows or completes them. */
export function madeWhole(program: Command): Command {
  made(program)
  program.commands.forEach(madeWhole)
  return program
}

function made(command: Command): void {
  const make = UNMADE.get(command)
  UNMADE.delete(command)
  make?.()
}
