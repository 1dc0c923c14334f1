// Random numbers and schedules that come again with the same seed.

/** Numbers of a seed: small, good enough for tests (mulberry32). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  /** From 0 up to, not including, `end`. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end)
  }

  chance(of: number): boolean {
    return this.below(100) < of
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)]
    if (choice === undefined) throw new Error('nothing to pick from')
    return choice
  }

  times<T>(count: number, make: () => T): T[] {
    return Array.from({ length: count }, make)
  }
}

/** A field as text, and what it stands for, told by whoever made it and not by a parser. */
export interface MadeField {
  text: string
  allows: ReadonlySet<number>
}

const WORDS: Record<string, readonly string[]> = {
  month: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
  weekday: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'],
}
const FIELDS = [
  { name: 'minute', low: 0, high: 59 },
  { name: 'hour', low: 0, high: 23 },
  { name: 'day', low: 1, high: 31 },
  { name: 'month', low: 1, high: 12 },
  { name: 'weekday', low: 0, high: 7 },
]

/** Five fields that cron takes, with stars in `stars` of a hundred; times near the changes of clocks come often. */
export function madeSchedule(random: Random, stars = 45): MadeField[] {
  return FIELDS.map((field) => madeField(random, field, stars))
}

function madeField(
  random: Random,
  field: { name: string; low: number; high: number },
  stars: number,
): MadeField {
  const { name, low, high } = field
  const upTo = name === 'hour' && random.chance(60) ? 5 : high
  const number = () => low + random.below(upTo - low + 1)
  const item = (): MadeField => {
    const kind = random.below(10)
    if (kind < 5) {
      const value = number()
      const word = WORDS[name]?.[value - low]
      const text =
        word !== undefined && random.chance(40) ? word : random.chance(10) ? `0${value}` : `${value}`
      return { text: random.chance(20) ? text.toUpperCase() : text, allows: new Set([value]) }
    }
    const [from = low, to = high] = [number(), number()].toSorted((a, b) => a - b)
    const step = kind < 8 ? 1 : 1 + random.below(12)
    return { text: `${from}-${to}${step === 1 ? '' : `/${step}`}`, allows: stepped(from, to, step) }
  }
  const isStar = random.chance(stars)
  const step = isStar && random.chance(40) ? 1 + random.below(20) : 1
  const star = { text: step === 1 && random.chance(80) ? '*' : `*/${step}`, allows: stepped(low, high, step) }
  const items: MadeField[] = isStar ? [star] : []
  for (let more = isStar ? (random.chance(10) ? 1 : 0) : 1 + random.below(3); more > 0; more--)
    items.push(item())
  const allows = new Set<number>(items.flatMap((one) => [...one.allows]))
  if (name === 'weekday' && allows.has(7)) allows.add(0)
  return { text: items.map(({ text }) => text).join(','), allows }
}

function stepped(from: number, to: number, step: number): Set<number> {
  const values = new Set<number>()
  for (let value = from; value <= to; value += step) values.add(value)
  return values
}
