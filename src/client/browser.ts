// `supervisor-agent/client` in a browser.
import { type AgentClient, openClient, type SharedOptions } from './client.ts'
import { dialBrowser } from './dial-browser.ts'

export type { MethodName, ParamsOf, ResultOf } from '../methods/index.ts'
export { AgentError, ERRORS, type ErrorCode } from '../protocol/errors.ts'
export type { AgentEvent, AgentEventOf, EventType } from '../protocol/events.ts'
export type { Hello, Progress } from '../protocol/frames.ts'
export type { Process, ProcessResult } from '../protocol/process.ts'
export { AgentClient, type CallOptions } from './client.ts'
export { ConnectionError, type ConnectionFailure } from './connection-error.ts'
export type { EventItem, EventOptions, FeedItem, GapItem, Position, SnapshotItem } from './event-feed.ts'
export type { ConnectionState, ReconnectOptions, StateListener } from './keeper.ts'
export type { FollowOptions, LogChunk } from './log-feed.ts'

export interface ConnectOptions extends SharedOptions {
  url: string
  token?: string
}

/**
 * Connects to an agent at `wss://host:port`, whose `allowedOrigins` must name the page's origin.
 * @throws {ConnectionError} when the first attempt fails; a browser does not tell why. The signal's reason
 */
export async function connect(options: ConnectOptions): Promise<AgentClient> {
  return await openClient(dialBrowser(options), options)
}
