/** Limits of one agent, as sent in `hello.limits`. Sizes in bytes, times in milliseconds, rates per second. */
export const LIMITS = {
  frameInBytes: 256 * 1024,
  frameOutBytes: 1024 * 1024,
  depth: 16,
  inFlight: 32,
  requestsPerSecond: 50,
  requestsBurst: 100,
  /** Requests over the rate within one second that close the connection with 4429. */
  overRateClose: 200,
  /** Malformed frames that close the connection with 1008. */
  malformedClose: 25,
  eventSubscriptions: 16,
  logStreams: 32,
  highWaterBytes: 1024 * 1024,
  lowWaterBytes: 256 * 1024,
  stalledMs: 15_000,
  logBatchBytes: 4096,
  logBatchMs: 50,
  connections: 128,
  connectionsPerToken: 16,
  pingMs: 20_000,
  deadMs: 60_000,
  handshakeMs: 5_000,
  bookmarkMs: 20_000,
} as const

/** WebSocket close codes that the agent sends. */
export const CLOSE = {
  goingAway: 1001,
  binary: 1003,
  badUtf8: 1007,
  malformed: 1008,
  tooBig: 1009,
  restarting: 1012,
  overload: 1013,
  tokenEnded: 4401,
  stalled: 4408,
  overRate: 4429,
} as const

export const PROTOCOL_VERSION = 1
export const SUBPROTOCOL = 'supervisor-agent.v1'
