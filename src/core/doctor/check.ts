/** What a check found to be wrong. */
export interface Fault {
  severity: 'warning' | 'failure'
  message: string
  /** What was seen; never a secret. */
  evidence?: string
  /** A command that cures it, to paste as root. */
  fix?: string
  /** It speaks of this program alone: only for those who may see that. */
  program?: string
  /** The end of a log, which joins the evidence for those with the scope `logs`. */
  logTail?: string
}

/** The question has no answer here: what it is about is not in use, or cannot be seen while another fault lasts. */
export const UNASKED = 'unasked'

/** Null when all is well. */
export type Answer = Fault | readonly Fault[] | null | typeof UNASKED

/** One question about this host. What `run` throws is a fault of its own. */
export interface Check {
  name: string
  /** Yes is good. */
  question: string
  /** For whom the answer is; else for all who may read, each with its own programs. */
  audience?: 'all-programs' | 'admin'
  run(): Promise<Answer> | Answer
}
