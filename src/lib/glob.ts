/**
 * A test for a pattern in which `*` stands for any run of characters and `?` for one, anchored at both ends.
 * Runs in time linear in the subject for any pattern: no regular expression is made of foreign text.
 */
export function globMatcher(pattern: string): (subject: string) => boolean {
  if (!/[*?]/.test(pattern)) return (subject) => subject === pattern
  return (subject) => matches(pattern, subject)
}

function matches(pattern: string, subject: string): boolean {
  let p = 0
  let s = 0
  let star = -1
  let mark = 0
  while (s < subject.length) {
    if (p < pattern.length && pattern[p] !== '*' && (pattern[p] === '?' || pattern[p] === subject[s])) {
      p++
      s++
    } else if (pattern[p] === '*') {
      star = p++
      mark = s
    } else if (star >= 0) {
      p = star + 1
      s = ++mark
    } else return false
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

/** True when any of the patterns matches the whole subject. */
export function anyGlob(patterns: readonly string[]): (subject: string) => boolean {
  const tests = patterns.map(globMatcher)
  return (subject) => tests.some((test) => test(subject))
}
