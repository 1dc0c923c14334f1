interface Budget {
  burst: number
  perSecond: number
}

/** Of somebody, over all methods. */
const SHARED: Budget = { burst: 60, perSecond: 1 }
/** Of each method beyond that: many calls of one hide none of another. */
const OWN: Budget = { burst: 3, perSecond: 1 / 60 }
/** More names than there are methods: names that are made up share the last one. */
const METHODS = 200
const OTHERS = '(others)'

interface Bucket {
  left: number
  atMs: number
}

interface Asker {
  shared: Bucket
  methods: Map<string, { own: Bucket; counted: number }>
}

/**
 * How many calls without effect are written one by one: somebody who asks for what they may not, again and again, must
 * not push the records of others out, nor hide one call behind many. What is over it is counted by method.
 */
export class RefusalRate {
  readonly #askers = new Map<string, Asker>()
  readonly #now: () => number

  constructor(options: { now?: () => number } = {}) {
    this.#now = options.now ?? (() => performance.now())
  }

  /** @returns false when it is only counted */
  take(actor: string, method: string): boolean {
    const asker = this.#askers.get(actor) ?? { shared: this.#full(SHARED), methods: new Map() }
    this.#askers.set(actor, asker)
    const { methods } = asker
    const key = methods.has(method) || methods.size < METHODS ? method : OTHERS
    const of = methods.get(key) ?? { own: this.#full(OWN), counted: 0 }
    methods.set(key, of)
    if (this.#takeOf(asker.shared, SHARED) || this.#takeOf(of.own, OWN)) return true
    of.counted++
    return false
  }

  /** What was counted since the last time. */
  counted(): { actor: string; method: string; count: number }[] {
    const counts: { actor: string; method: string; count: number }[] = []
    for (const [actor, { shared, methods }] of this.#askers) {
      for (const [method, of] of methods) {
        if (of.counted > 0) counts.push({ actor, method, count: of.counted })
        else if (this.#isFull(of.own, OWN)) methods.delete(method)
        of.counted = 0
      }
      if (methods.size === 0 && this.#isFull(shared, SHARED)) this.#askers.delete(actor)
    }
    return counts
  }

  #full({ burst }: Budget): Bucket {
    return { left: burst, atMs: this.#now() }
  }

  #leftOf({ left, atMs }: Bucket, { burst, perSecond }: Budget): number {
    return Math.min(burst, left + ((this.#now() - atMs) / 1000) * perSecond)
  }

  #isFull(bucket: Bucket, budget: Budget): boolean {
    return this.#leftOf(bucket, budget) >= budget.burst
  }

  #takeOf(bucket: Bucket, budget: Budget): boolean {
    const left = this.#leftOf(bucket, budget)
    bucket.atMs = this.#now()
    bucket.left = left >= 1 ? left - 1 : left
    return left >= 1
  }
}
