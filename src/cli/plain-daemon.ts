/** The options of a plain `agent [--config FILE] daemon`; null for any other command line. */
export function plainDaemon(argv: readonly string[]): { config?: string } | null {
  const words = [...argv]
  const at = words.indexOf('--config')
  const config = at >= 0 ? words.splice(at, 2)[1] : undefined
  if (words.length !== 1 || words[0] !== 'daemon' || (at >= 0 && config === undefined)) return null
  return config === undefined ? {} : { config }
}

/**
 * Tells V8 that memory matters more than the first seconds of load: the heap grows by small steps, and code is
 * optimised when it is truly hot, so that an idle daemon never brings in the optimiser. To be called before anything
 * is loaded; docs/performance.md has what each of it saves.
 */
export async function keepSmall(): Promise<void> {
  const { setFlagsFromString } = await import('node:v8')
  for (const flag of [
    '--optimize-for-size',
    '--interrupt-budget=20000000',
    '--max-bytecode-size-for-early-opt=0',
  ])
    setFlagsFromString(flag)
}
