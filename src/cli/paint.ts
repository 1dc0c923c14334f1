import { styleText } from 'node:util'

export function paint(colour: 'red' | 'green' | 'yellow' | 'cyan' | 'dim', text: string): string {
  return usesColour() ? styleText(colour, text) : text
}

function usesColour(): boolean {
  return process.stdout.isTTY && process.stdout.hasColors()
}
