// `supervisor-agent/client` in Node.
import { type AgentClient, openClient, type SharedOptions } from './client.ts'
import type { NodeDialOptions } from './dial-node.ts'
import { dialUnix, isUnixUrl } from './dial-unix.ts'

export type { MethodName, ParamsOf, ResultOf } from '../methods/index.ts'
export { AgentError, ERRORS, type ErrorCode } from '../protocol/errors.ts'
export type { AgentEvent, AgentEventOf, EventType } from '../protocol/events.ts'
export type { Hello, Progress } from '../protocol/frames.ts'
export { PANEL_SUBPROTOCOL } from '../protocol/panel.ts'
export type { Process, ProcessResult } from '../protocol/process.ts'
export { type AcceptedAgent, type AcceptOptions, type AgentClaim, acceptAgent, panelKeyOf } from './accept.ts'
export { AgentClient, type CallOptions } from './client.ts'
export { ConnectionError, type ConnectionFailure } from './connection-error.ts'
export type { EventItem, EventOptions, FeedItem, GapItem, Position, SnapshotItem } from './event-feed.ts'
export type { ConnectionState, ReconnectOptions, StateListener } from './keeper.ts'
export type { FollowOptions, LogChunk } from './log-feed.ts'

export interface ConnectOptions extends NodeDialOptions, SharedOptions {}

/**
 * Connects to an agent: `wss://host:port`, `ws://127.0.0.1:port` or `unix:///run/supervisor-agent/admin.sock`.
 * @throws {ConnectionError} when the first attempt fails, with the `status` of a refusal; the signal's reason
 */
export async function connect(options: ConnectOptions): Promise<AgentClient> {
  // `ws` and what it needs of Node.js take longer to load than a call on the unix socket takes
  const dial = isUnixUrl(options.url)
    ? dialUnix(options.url)
    : (await import('./dial-node.ts')).dialWebSocket(options)
  return await openClient(dial, options)
}
