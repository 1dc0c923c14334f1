import type { Globals } from '../globals.ts'

/** Runs the agent until SIGTERM or SIGINT. @returns the exit status */
export async function runDaemon(globals: Globals): Promise<number> {
  const [{ loadConfig }, { createLogger }, { startDaemon }, { notifySystemd }] = await Promise.all([
    import('../../config.ts'),
    import('../../logger.ts'),
    import('../../daemon.ts'),
    import('../../core/host/systemd.ts'),
  ])
  const config = loadConfig(globals.config)
  const logger = createLogger(config.log.level)
  let isDefect = false
  const stopped = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal))
    const defect = (error: unknown) => {
      logger.fatal({ err: error }, 'defect: the agent ends and is started again')
      isDefect = true
      resolve('defect')
    }
    process.on('uncaughtException', defect)
    process.on('unhandledRejection', defect)
  })
  try {
    const daemon = await startDaemon(config, logger)
    await notifySystemd('READY=1')
    const reason = await stopped
    await notifySystemd('STOPPING=1')
    await daemon.stop(reason)
  } catch (error) {
    logger.fatal({ err: error }, 'the agent cannot start')
    process.stderr.write(`agent: ${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
  return isDefect ? 1 : 0
}
