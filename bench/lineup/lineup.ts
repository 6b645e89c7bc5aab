import { Contender } from '../processes/contender.js';
import type { Measurement } from '../report/row.js';
import { BenchCluster } from './cluster.js';
import type { ClusterShape, ContenderSpec } from './contenders.js';
import { openFloor } from './floors.js';
import { openPath } from './path.js';

/** What is measured beside each other in one scenario; nothing of it is left after disposal. */
export class Lineup implements AsyncDisposable {
  readonly contenders: Contender[] = [];
  readonly #clusters = new Map<string, BenchCluster>();
  readonly #owned: AsyncDisposable[] = [];

  /** @param signal ends the opening, and whatever a contender does then */
  static async open(specs: readonly ContenderSpec[], signal: AbortSignal): Promise<Lineup> {
    const lineup = new Lineup();
    try {
      for (const spec of specs) lineup.contenders.push(await lineup.#open(spec, signal));
      return lineup;
    } catch (error) {
      await lineup[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** @throws where none of the contenders is on such a cluster */
  cluster({ name }: ClusterShape): BenchCluster {
    const cluster = this.#clusters.get(name);
    if (cluster === undefined) throw new Error(`no contender of this lineup is on the cluster '${name}'`);
    return cluster;
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

  async #open(spec: ContenderSpec, signal: AbortSignal): Promise<Contender> {
    const own = (resource: AsyncDisposable): void => void this.#owned.push(resource);
    if (spec.kind === 'floor') return openFloor(spec, { own, signal });
    if (spec.kind === 'bare') {
      const bare = new Contender(spec, () => new Map(), signal);
      own(bare);
      await bare.open(spec.destination);
      return bare;
    }
    const cluster = await this.#clusterOf(spec.cluster, { own, signal });
    return spec.kind === 'path' ? openPath(spec, cluster, { own, signal }) : cluster.contender(spec, { own, signal });
  }

  async #clusterOf(
    shape: ClusterShape,
    { own, signal }: { readonly own: (resource: AsyncDisposable) => void; readonly signal: AbortSignal },
  ): Promise<BenchCluster> {
    const known = this.#clusters.get(shape.name);
    if (known !== undefined) return known;
    const cluster = await BenchCluster.start(shape, signal);
    this.#clusters.set(shape.name, cluster);
    own(cluster);
    return cluster;
  }
}
