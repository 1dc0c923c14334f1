/** A place in a text that supervisord would fill in. */
const EXPANSION =
  /%\((?:here|program_name|group_name|host_node_name|process_num|numprocs|ENV_[^()]*)\)[-+ #0]*\d*(?:\.\d*)?[A-Za-z]?/g
/** The one that a definition may have: the number of the process. */
const NUMBER = /%\(process_num\)(?:0?\d)?[ds]/
const PIECE = /%%|%\(process_num\)(?:0?\d)?[ds]|%/g

/** What of a text cannot be taken as it is; null when all can. */
export function whyNotLiteral(text: string, mayHaveNumber: boolean): string | null {
  const found = text.match(EXPANSION) ?? []
  const first = found.find((piece) => !(mayHaveNumber && isNumber(piece)))
  if (first === undefined) return null
  const number = mayHaveNumber ? ', save %(process_num)02d' : ''
  return `${first.slice(0, 80)} stands for something of supervisord; a definition holds no such places${number}: write the value itself`
}

/** Does the text have a place for the number of the process? */
export function hasNumber(text: string): boolean {
  return NUMBER.test(text)
}

/** The text as it must stand in the file, its percent signs doubled. It must be free of what {@link whyNotLiteral} tells. */
export function escapePercent(text: string): string {
  return text
    .split(/(%\(process_num\)(?:0?\d)?[ds])/)
    .map((part, index) => (index % 2 === 1 ? part : part.replaceAll('%', '%%')))
    .join('')
}

/** The inverse of {@link escapePercent}; null for what no definition can say. */
export function unescapePercent(text: string, mayHaveNumber: boolean): string | null {
  let isPlain = true
  const value = text.replace(PIECE, (piece) => {
    if (piece === '%%') return '%'
    if (piece === '%' || !mayHaveNumber) isPlain = false
    return piece
  })
  return isPlain && whyNotLiteral(value, mayHaveNumber) === null && escapePercent(value) === text
    ? value
    : null
}

function isNumber(piece: string): boolean {
  return new RegExp(`^${NUMBER.source}`).test(piece)
}
