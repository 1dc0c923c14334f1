import { execFile } from 'node:child_process'

/**
 * Tells systemd how the service does; does nothing outside of it. Node has no datagram unix sockets, so that the
 * message goes through systemd-notify (the unit needs NotifyAccess=all for that).
 */
export function notifySystemd(state: 'READY=1' | 'STOPPING=1' | 'WATCHDOG=1'): Promise<void> {
  if (!process.env['NOTIFY_SOCKET']) return Promise.resolve()
  return new Promise((resolve) => {
    execFile('/usr/bin/systemd-notify', [state], { timeout: 5_000 }, () => resolve())
  })
}
