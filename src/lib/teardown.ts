type Undo = () => unknown

/** Undoes what was built, last first. Every step runs, whatever the ones before it threw. */
export class Teardown {
  readonly #steps: Undo[] = []

  defer(undo: Undo): void {
    this.#steps.push(undo)
  }

  /** @throws {AggregateError} when steps failed; all have run by then. */
  async run(): Promise<void> {
    const failures: unknown[] = []
    for (const undo of this.#steps.splice(0).toReversed())
      try {
        await undo()
      } catch (error) {
        failures.push(error)
      }
    if (failures.length > 0) throw new AggregateError(failures, 'teardown failed')
  }
}
