import { lstatSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { AgentError } from '../../protocol/errors.ts'
import { AnswerScanner } from './answer-scanner.ts'
import { type Answer, encodeCall, notXmlRpc, type RpcParam, WholeAnswer } from './codec.ts'

/** Where supervisord listens, and how to log in. */
export interface RpcAddress {
  /** `unix:///path` or `http://host:port`. */
  url: string
  username: string
  password: string
}

export interface CallOptions {
  signal?: AbortSignal
  /** Longest wait for the whole answer; what supervisord began goes on. */
  deadlineMs?: number
}

interface SendOptions extends CallOptions {
  /** Makes what takes the answer; once for each attempt. */
  into: () => Answer
}

const DEADLINE_MS = 10_000
const ANSWER_MAX_BYTES = 32 * 1024 * 1024
/** supervisord is single-threaded and pays a descriptor per connection: more would not be faster. */
const CONNECTIONS = 8

/** Methods that change nothing and may be sent again when a kept connection turns out to be dead. */
const REPEATABLE = /^(?:supervisor\.(?:get|read|tail)|system\.(?:list|method))/

/** Calls supervisord. Every call has a deadline, every failure a name. */
export class SupervisorRpc {
  readonly #address: RpcAddress
  #agent = keepingAgent()
  /** The socket file that kept connections lead to. */
  #file: string | null = null
  #isClosed = false

  constructor(address: RpcAddress) {
    this.#address = address
  }

  /**
   * @throws {AgentError} SUPERVISOR_FAULT (`facts.fault`), SUPERVISOR_UNREACHABLE (`facts.reason`), INVALID_PARAMS for
   * text outside the allow-list; the signal's own reason when it aborts
   */
  async call(method: string, params: readonly RpcParam[] = [], options: CallOptions = {}): Promise<unknown> {
    return (await this.#send(method, params, { ...options, into: () => new WholeAnswer() })).value()
  }

  /**
   * Several reading calls in one request, in order, with nothing of supervisord's in between.
   * @param options.members the only ones of structs that are wanted; those of faults come in any case
   */
  async batch(
    calls: readonly { method: string; params: readonly (string | number | boolean)[] }[],
    { members, ...options }: CallOptions & { members?: readonly string[] } = {},
  ): Promise<unknown[]> {
    const list = calls.map(({ method, params }) => ({ methodName: method, params }))
    const into = () => new AnswerScanner(members)
    const answer = (await this.#send('system.multicall', [list], { ...options, into })).value()
    if (!Array.isArray(answer) || answer.length !== calls.length)
      throw notXmlRpc(new Error('a multicall answer of another length'))
    return answer
  }

  /** Ends every call under way; later ones fail at once. */
  close(): void {
    this.#isClosed = true
    this.#agent.destroy()
  }

  async #send(method: string, params: readonly RpcParam[], options: SendOptions): Promise<Answer> {
    const body = encodeCall(method, params)
    const attempt = () => this.#post(body, options)
    try {
      return await attempt()
    } catch (error) {
      const isStale = error instanceof AgentError && error.facts['reason'] === 'stale-connection'
      const isRepeatable = REPEATABLE.test(method) || (method === 'system.multicall' && isReading(params))
      if (!isStale || !isRepeatable) throw error
      return await attempt()
    }
  }

  #post(body: string, { signal, deadlineMs = DEADLINE_MS, into }: SendOptions): Promise<Answer> {
    signal?.throwIfAborted()
    if (this.#isClosed) return Promise.reject(unreachable('closed', 'the agent is stopping'))
    const deadline = AbortSignal.timeout(deadlineMs)
    const stop = signal ? AbortSignal.any([signal, deadline]) : deadline
    this.#leaveReplaced()
    return new Promise((resolve, reject) => {
      const end = () => {
        reject(
          signal?.aborted
            ? signal.reason
            : unreachable('hung', `supervisord gave no answer within ${deadlineMs} ms`),
        )
        post.destroy()
      }
      const fail = (error: NodeJS.ErrnoException) => {
        stop.removeEventListener('abort', end)
        reject(connectError(error, this.#address.url, post.reusedSocket))
      }
      const post = request(
        { ...this.#target(), method: 'POST', path: '/RPC2', agent: this.#agent },
        (response) => {
          const answer = into()
          let size = 0
          response.on('data', (piece: Buffer) => {
            size += piece.length
            if (size > ANSWER_MAX_BYTES) {
              reject(unreachable('garbage', `an answer of more than ${ANSWER_MAX_BYTES} bytes was cut off`))
              post.destroy()
            } else if (response.statusCode === 200) answer.take(piece)
          })
          response.on('error', fail)
          response.on('end', () => {
            stop.removeEventListener('abort', end)
            const status = response.statusCode ?? 0
            if (status === 200) resolve(answer)
            else reject(httpError(status))
          })
        },
      )
      stop.addEventListener('abort', end, { once: true })
      post.on('error', fail)
      post.end(body)
    })
  }

  /** Another socket in the place of ours is another supervisord's: kept connections would still lead to the old one. */
  #leaveReplaced(): void {
    const { url } = this.#address
    const file = url.startsWith('unix://') ? identityOf(url.slice('unix://'.length)) : null
    if (file === null) return
    if (this.#file !== null && this.#file !== file) {
      // calls under way end where they began
      this.#agent.maxFreeSockets = 0
      for (const idle of Object.values(this.#agent.freeSockets).flat()) idle?.destroy()
      this.#agent = keepingAgent()
    }
    this.#file = file
  }

  #target(): { socketPath?: string; host?: string; port?: string; headers: Record<string, string> } {
    const { url, username, password } = this.#address
    const headers: Record<string, string> = { 'Content-Type': 'text/xml' }
    if (username)
      headers['Authorization'] = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
    if (url.startsWith('unix://')) return { socketPath: url.slice('unix://'.length), headers }
    const { hostname, port } = new URL(url)
    return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port || '80', headers }
  }
}

/** Which file it is; null when that cannot be seen. */
function identityOf(path: string): string | null {
  try {
    const { dev, ino, birthtimeMs } = lstatSync(path)
    return `${dev}:${ino}:${birthtimeMs}`
  } catch {
    return null
  }
}

function keepingAgent(): Agent {
  return new Agent({ keepAlive: true, maxSockets: CONNECTIONS, maxFreeSockets: 2 })
}

function isReading(params: readonly RpcParam[]): boolean {
  const [calls] = params
  return (
    Array.isArray(calls) &&
    calls.every(({ methodName }: { methodName: string }) => REPEATABLE.test(methodName))
  )
}

function unreachable(reason: string, message: string, cause?: unknown): AgentError {
  return new AgentError('SUPERVISOR_UNREACHABLE', message, { facts: { reason }, cause })
}

const CONNECT_ERRORS: Record<string, { reason: string; text: string }> = {
  ENOENT: {
    reason: 'missing',
    text: 'there is no such socket: supervisord does not run, or listens elsewhere',
  },
  ECONNREFUSED: {
    reason: 'refused',
    text: 'nobody listens there: supervisord ended without removing its socket',
  },
  EACCES: {
    reason: 'no-permission',
    text: 'the agent may not open it: check the mode and owner in [unix_http_server]',
  },
  ENOTDIR: { reason: 'missing', text: 'a part of the path is not a directory' },
  ECONNRESET: { reason: 'broken-off', text: 'supervisord ended in the middle of the call' },
  EPIPE: { reason: 'broken-off', text: 'supervisord ended in the middle of the call' },
}

function connectError(error: NodeJS.ErrnoException, url: string, isReused: boolean): AgentError {
  const known = CONNECT_ERRORS[error.code ?? '']
  if (isReused && known?.reason === 'broken-off')
    return unreachable('stale-connection', `${url}: ${known.text}`, error)
  if (error.code?.startsWith('HPE_')) return notXmlRpc(error)
  return known
    ? unreachable(known.reason, `${url}: ${known.text}`, error)
    : unreachable('unreachable', `${url}: ${error.message}`, error)
}

function httpError(status: number): AgentError {
  if (status === 401)
    return unreachable(
      'login',
      'supervisord wants a user name and password: set supervisor.username and supervisor.password',
    )
  if (status === 500)
    // a Python exception inside supervisord: the call was understood and failed
    return new AgentError(
      'SUPERVISOR_FAULT',
      'supervisord failed on that call (HTTP 500); its main log has the reason',
      {
        facts: { fault: 'FAILED' },
      },
    )
  return unreachable('garbage', `HTTP ${status} on the XML-RPC path: this is not supervisord`)
}
