import type { Discovery } from '../supervisor/discovery.ts'
import type { Change } from './change-runner.ts'
import type { Prepared } from './draft.ts'

/** Tries a change out before it is made. */
export class Trial {
  async look(_made: Prepared, _discovery: Discovery) {
    return { issues: [], warnings: [] }
  }
  async judge(_change: Change, _discovery: Discovery): Promise<void> {}
  refusalOf(_change: Change, reason: unknown): unknown {
    return reason
  }
}
