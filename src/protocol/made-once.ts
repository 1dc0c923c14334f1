/** Gives an object a member that is made when it is first asked for. */
export function madeOnce<O extends object, K extends string, V>(
  object: O,
  key: K,
  make: () => V,
): O & Record<K, V> {
  return Object.defineProperty(object, key, { get: onlyOnce(make), enumerable: true }) as O & Record<K, V>
}

/** A function that makes a thing when it is first called, and gives that one from then on. */
export function onlyOnce<V>(make: () => V): () => V {
  let made: V | undefined
  return () => (made ??= make())
}
