declare module 'xmlrpc/lib/serializer.js' {
  const serializer: { serializeMethodCall(method: string, params: readonly unknown[]): string }
  export default serializer
}

declare module 'xmlrpc/lib/deserializer.js' {
  interface Source {
    setEncoding(encoding: string): void
    on(event: string, listener: (error: unknown) => void): void
    pipe(parser: { write(chunk: Buffer): void; end(): void }): void
  }
  export default class Deserializer {
    constructor(encoding: string)
    deserializeMethodResponse(source: Source, done: (error: unknown, value: unknown) => void): void
  }
}
