/** The options of a plain `agent [--config FILE] daemon`; null for any other command line. */
export function plainDaemon(argv: readonly string[]): { config?: string } | null {
  const words = [...argv]
  const at = words.indexOf('--config')
  const config = at >= 0 ? words.splice(at, 2)[1] : undefined
  if (words.length !== 1 || words[0] !== 'daemon' || (at >= 0 && config === undefined)) return null
  return config === undefined ? {} : { config }
}

/** V8's options of the daemon; keepSmall() says why. */
export const V8_FLAGS = [
  '--no-sparkplug',
  '--semi-space-growth-factor=1',
  '--regexp-tier-up-ticks=100',
  '--bytecode-old-age=1',
  '--retain-maps-for-n-gc=0',
] as const

/**
 * Tells V8 that memory matters: its new space keeps its first size; there is no baseline code (1.7 MB) between what is
 * interpreted and what is optimized, calls and fan-out are as fast without it; and code and shapes of objects that were
 * not used between two collections are given up. To be called before anything is loaded; docs/performance.md has what
 * it saves.
 */
export async function keepSmall(): Promise<void> {
  const { setFlagsFromString } = await import('node:v8')
  setFlagsFromString(V8_FLAGS.join(' '))
}
