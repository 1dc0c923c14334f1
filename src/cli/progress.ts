import type { Globals } from './globals.ts'
import { harmless } from './text.ts'

const AFTER_MS = 1_000

/** A line on the terminal for calls of over a second; nothing where nobody looks. */
export function showProgress({ quiet, json }: Globals): {
  update: (progress: { done: number; total: number; text: string }) => void
  end: () => void
} {
  const isShown = process.stderr.isTTY && !quiet && !json
  const startedAt = performance.now()
  let isOut = false
  return {
    update({ done, total, text }) {
      if (!isShown || performance.now() - startedAt < AFTER_MS) return
      isOut = true
      process.stderr.write(`\r\u001b[K${done} of ${total}: ${harmless(text).replaceAll(/\s/g, ' ')}`)
    },
    end() {
      if (isOut) process.stderr.write('\r\u001b[K')
      isOut = false
    },
  }
}
