import { getHeapStatistics } from 'node:v8'
import t from 'tap'
import { IdleHeap } from '../../../src/core/host/idle-heap.ts'
import { until } from '../../fixtures/wait.ts'

const usedBytes = () => getHeapStatistics().used_heap_size
const MB = 1_000_000

/** 3 MB that lie in the old part of the heap by the time they are garbage; too few for V8 to look after by itself. */
function makeGarbage(): void {
  const rows: unknown[] = []
  for (let i = 0; i < 30_000; i++) rows.push({ number: i, text: `row ${i}` })
}

/** What a call gives back, at once. */
function given(heap: IdleHeap): number {
  const before = usedBytes()
  heap.tend()
  return before - usedBytes()
}

await t.test('an idle process gives back its garbage, a busy one is left alone', async (t) => {
  const heap = new IdleHeap(0)
  heap.start()
  await until(() => given(heap) > 0, 'the first time')
  makeGarbage()
  t.ok(given(heap) < MB, 'the time since the last look went into making it')
  await until(() => given(heap) > MB, 'the garbage to be gone')
  t.ok(getHeapStatistics().number_of_native_contexts <= 2, 'one context more for it')
})
