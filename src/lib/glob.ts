export interface GlobOptions {
  /** Characters that no wildcard stands for. */
  except?: string
}

/**
 * A test for a pattern in which `*` stands for any run of characters and `?` for one, anchored at both ends.
 * Runs in time linear in the subject for any pattern: no regular expression is made of foreign text.
 */
export function globMatcher(
  pattern: string,
  { except = '' }: GlobOptions = {},
): (subject: string) => boolean {
  if (!/[*?]/.test(pattern)) return (subject) => subject === pattern
  return (subject) => matches(pattern, subject, except)
}

function matches(pattern: string, subject: string, except: string): boolean {
  let p = 0
  let s = 0
  let star = -1
  let mark = 0
  while (s < subject.length) {
    if (p < pattern.length && pattern[p] !== '*' && isOne(pattern.charAt(p), subject.charAt(s), except)) {
      p++
      s++
    } else if (pattern[p] === '*') {
      star = p++
      mark = s
    } else if (star >= 0 && !except.includes(subject.charAt(mark))) {
      p = star + 1
      s = ++mark
    } else return false
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

function isOne(wanted: string, char: string, except: string): boolean {
  return wanted === '?' ? !except.includes(char) : wanted === char
}

/** True when any of the patterns matches the whole subject. */
export function anyGlob(
  patterns: readonly string[],
  options: GlobOptions = {},
): (subject: string) => boolean {
  const tests = patterns.map((pattern) => globMatcher(pattern, options))
  return (subject) => tests.some((test) => test(subject))
}
