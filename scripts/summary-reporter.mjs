/**
 * A vitest reporter that ends a run with one line for machines, `N passed, N failed` (`, N skipped`). It is written when
 * the process exits, after everything that other reporters print. What fails without a test of its own, as a file that
 * does not load or a rejection that nobody handled, counts as one failure: red never reads as `0 failed`.
 */
import { writeSync } from 'node:fs';

export default class SummaryReporter {
  #counts = null;

  onInit(vitest) {
    if (vitest.config.watch) return;
    process.once('exit', () => this.#print());
  }

  onTestRunEnd(testModules, unhandledErrors) {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    for (const testModule of testModules) {
      const before = counts.failed;
      for (const test of testModule.children.allTests()) {
        const { state } = test.result();
        counts[state === 'pending' ? 'failed' : state] += 1;
      }
      if (counts.failed === before && !testModule.ok()) counts.failed += 1;
    }
    this.#counts = counts;
  }

  #print() {
    if (!this.#counts) return;
    const { passed, failed, skipped } = this.#counts;
    writeSync(1, `\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
  }
}
