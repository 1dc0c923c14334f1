import type { Principal } from '../core/access/principal.ts'

/** A JSON-RPC notification as bytes. */
export function notification(method: string, params: Record<string, unknown>): Buffer {
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', method, params }))
}

/** Numbers that a subscriber will never get: it must take a snapshot. */
export function gapFrame(subscription: string, epoch: string, from: number, to: number): Buffer {
  return notification('gap', { subscription, epoch, from, to })
}

/** Events about the agent itself name other tokens: they are for those who may see all. */
export function isVisible(type: string, principal: Principal): boolean {
  return !type.startsWith('token.') || principal.scopes.has('admin')
}
