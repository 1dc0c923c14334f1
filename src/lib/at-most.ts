/** Waits for a task, but no longer than that; the task goes on. */
export async function atMost(ms: number, task: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  try {
    await Promise.race([task, late])
  } finally {
    clearTimeout(timer)
  }
}
