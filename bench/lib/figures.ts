/** The value below which that part of them lies; 0.5 is the median. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.ceil(sorted.length * part) - 1] ?? sorted[0] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** `median (smallest-largest)`. */
export function spread(values: readonly number[], digits = 0): string {
  const [least, most] = [quantile(values, 0), quantile(values, 1)]
  return `${median(values).toFixed(digits)} (${least.toFixed(digits)}-${most.toFixed(digits)})`
}

export function verdict(isMet: boolean): string {
  return isMet ? 'met' : '**missed**'
}

/** Prints a markdown table to stdout. */
export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`
  process.stdout.write(`${[line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')}\n`)
}

/** What is going on, to stderr, so that stdout holds the tables alone. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** Milliseconds that a task takes. */
export async function timed(task: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await task()
  return performance.now() - began
}
