import type { TestCluster } from 'holdfast/testing';
import type { Contender } from '../processes/contender.js';
import type { Measurement } from '../report/row.js';
import { openProduct, type ProductName, startBenchCluster } from './cluster.js';
import { type FloorName, openFloor } from './floors.js';

export type ContenderName = FloorName | ProductName;

/** What is measured beside each other in one scenario; nothing of it is left after disposal. */
export class Lineup implements AsyncDisposable {
  readonly contenders: Contender[] = [];
  cluster: TestCluster | null = null;
  readonly #owned: AsyncDisposable[] = [];

  /** @param signal ends the opening, and whatever a contender does then */
  static async open(names: readonly ContenderName[], signal: AbortSignal): Promise<Lineup> {
    const lineup = new Lineup();
    try {
      for (const name of names) lineup.contenders.push(await lineup.#open(name, signal));
      return lineup;
    } catch (error) {
      await lineup[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Each contender once, then each again, and so on: what disturbs the machine for a while disturbs them all. */
  async inTurn(
    repetitions: number,
    measure: (contender: Contender, repetition: number) => Promise<Measurement>,
  ): Promise<ReadonlyMap<Contender, readonly Measurement[]>> {
    const found = new Map(this.contenders.map((contender) => [contender, [] as Measurement[]]));
    for (let repetition = 0; repetition < repetitions; repetition += 1) {
      for (const [contender, measurements] of found) measurements.push(await measure(contender, repetition));
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const resource of this.#owned.reverse()) await resource[Symbol.asyncDispose]();
  }

  async #open(name: ContenderName, signal: AbortSignal): Promise<Contender> {
    const own = (resource: AsyncDisposable): void => void this.#owned.push(resource);
    if (name !== 'holdfast' && name !== 'holdfast-serial') return openFloor(name, { own, signal });
    if (this.cluster === null) {
      this.cluster = await startBenchCluster(signal);
      own(this.cluster);
    }
    return openProduct(name, { cluster: this.cluster, own, signal });
  }
}
