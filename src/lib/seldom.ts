/** The task, for what may come in floods: calls within `ms` after one that went through are left out. */
export function seldom<A extends readonly unknown[]>(
  ms: number,
  task: (...args: A) => void,
): (...args: A) => void {
  let againAtMs = Number.NEGATIVE_INFINITY
  return (...args) => {
    const nowMs = performance.now()
    if (nowMs < againAtMs) return
    againAtMs = nowMs + ms
    task(...args)
  }
}
