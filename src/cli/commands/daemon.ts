import { DEFAULT_CONFIG } from '../../config-path.ts'
import { notifySystemd } from '../../core/host/systemd.ts'
import { startDaemon } from '../../daemon.ts'
import { createLogger } from '../../logger.ts'
import { withSettings } from '../../with-settings.ts'

/** Runs the agent until SIGTERM or SIGINT. @returns the exit status: 2 for a wrong config, 1 for any other failure */
export async function runDaemon(options: { config?: string }): Promise<number> {
  const path = options.config ?? DEFAULT_CONFIG
  const read = await withSettings(({ readSettings }) => readSettings(path))
  if ('problem' in read) {
    process.stderr.write(`agent: ${read.problem}\n`)
    return 2
  }
  const { config, warnings } = read
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
  process.on('SIGHUP', () => logger.info('nothing to reload: tokens are read live, all else at the start'))
  try {
    for (const warning of warnings) logger.warn(warning)
    const daemon = await startDaemon(config, logger, path)
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
