/** One connection as the server sees it: text out, bytes waiting, an end. Knows no method. */
export interface Link {
  /** Where it comes from, for logs and audit: an address, or the socket's name. */
  readonly remote: string
  /** Sends one frame of UTF-8 JSON. */
  send(frame: Buffer): void
  /** Bytes accepted by {@link send} that the kernel has not taken yet. */
  bufferedBytes(): number
  /** Changes as the kernel takes bytes, also while one large write is under way. */
  takenBytes(): number
  /** Closes in order; `terminate` instead when the peer no longer reads. */
  close(code: number, reason: string): void
  terminate(): void
}

/** What a transport hands its frames to. */
export interface LinkUser {
  receive(text: string): void
  /** The peer sends nothing more, and may still read. */
  inputEnded(): void
  /** The transport's buffer ran empty. */
  drained(): void
  /** The connection has ended, whoever ended it. */
  closed(): void
}
