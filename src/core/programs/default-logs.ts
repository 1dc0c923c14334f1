/**
 * Where a program's output goes when its definition does not say: `<name>.log` and `<name>-error.log`, and a file for
 * each process when there are several, so that supervisord can rotate them.
 */
export function defaultLogs(
  folder: string,
  name: string,
  processes: number,
): { stdoutLogfile: string; stderrLogfile: string } {
  const stem = `${folder.replace(/\/+$/, '')}/${name}${processes > 1 ? '_%(process_num)02d' : ''}`
  return { stdoutLogfile: `${stem}.log`, stderrLogfile: `${stem}-error.log` }
}
