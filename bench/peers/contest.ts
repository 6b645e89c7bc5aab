import { holdfast, pathFloor, tcpContainer } from '../lineup/contenders.js';
import { Lineup } from '../lineup/lineup.js';
import type { Contender } from '../processes/contender.js';
import type { Measurement } from '../report/row.js';
import type { Bench } from '../scenarios/scenario.js';
import { openPeer } from './open-peer.js';
import type { Peer } from './peers.js';

/** Who takes part, and how much can be asked of it. */
export interface Entrant extends Pick<Peer, 'warmupCalls' | 'warmupNames' | 'coldNames' | 'isResident'> {
  readonly contender: Contender;
}

/** A peer that could not be started, or failed. */
export interface Absence {
  readonly peer: string;
  readonly title: string;
  readonly why: string;
}

interface PeerEntrant extends Entrant, AsyncDisposable {
  readonly peer: Peer;
}

const whyColumns = 160;

/**
 * The floors, the product, and the peers that can run here, all open at once so that they can be measured in turn. A peer
 * that fails leaves with its reason and the others go on; a failure of the product or the floor ends the run.
 */
export class Contest implements AsyncDisposable {
  readonly #bench: Bench;
  readonly #absences: Absence[];
  readonly #lineup: Lineup;
  readonly #peers = new Set<PeerEntrant>();

  private constructor(lineup: Lineup, bench: Bench, absences: Absence[]) {
    this.#lineup = lineup;
    this.#bench = bench;
    this.#absences = absences;
  }

  /** @param absences where those that leave are noted */
  static async open(
    peers: readonly Peer[],
    { bench, absences }: { readonly bench: Bench; readonly absences: Absence[] },
  ): Promise<Contest> {
    bench.say('starting the floors and the product');
    const lineup = await Lineup.open([tcpContainer, pathFloor, holdfast], bench.signal);
    const contest = new Contest(lineup, bench, absences);
    try {
      for (const peer of peers) await contest.#add(peer);
      return contest;
    } catch (error) {
      await contest[Symbol.asyncDispose]();
      throw error;
    }
  }

  get entrants(): readonly Entrant[] {
    const { warmupCalls, warmupNames } = this.#bench.settings;
    const own = this.#lineup.contenders.map((contender) => ({
      contender,
      warmupCalls,
      warmupNames,
      coldNames: contender.name === tcpContainer.name ? null : 2_000,
      isResident: contender.name === holdfast.name,
    }));
    return [...own, ...this.#peers];
  }

  /** Each once, then each again, and so on. Who fails has no measurements. */
  async inTurn(
    entrants: readonly Entrant[],
    repetitions: number,
    measure: (entrant: Entrant, repetition: number) => Promise<Measurement>,
  ): Promise<ReadonlyMap<Entrant, readonly Measurement[]>> {
    const found = new Map(entrants.map((entrant) => [entrant, [] as Measurement[]]));
    for (let repetition = 0; repetition < repetitions; repetition += 1) {
      for (const [entrant, measurements] of found) {
        const isDone = await this.attempt(entrant, async () => {
          measurements.push(await measure(entrant, repetition));
        });
        if (!isDone) found.delete(entrant);
      }
    }
    return found;
  }

  /** @returns whether it was done; a peer that failed has left */
  async attempt(entrant: Entrant, work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      const left = [...this.#peers].find((each) => each === entrant);
      if (left === undefined || this.#bench.signal.aborted) throw error;
      this.#peers.delete(left);
      this.#note(left.peer, error);
      await left[Symbol.asyncDispose]();
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers) await peer[Symbol.asyncDispose]();
    await this.#lineup[Symbol.asyncDispose]();
  }

  async #add(peer: Peer): Promise<void> {
    this.#bench.say(`starting ${peer.title}`);
    const owned: AsyncDisposable[] = [];
    const dispose = async (): Promise<void> => {
      for (const resource of owned.reverse()) await resource[Symbol.asyncDispose]();
    };
    try {
      const contender = await openPeer(peer, {
        own: (resource) => void owned.push(resource),
        signal: this.#bench.signal,
      });
      const { warmupCalls, warmupNames, coldNames, isResident } = peer;
      const able = { warmupCalls, warmupNames, coldNames, isResident };
      this.#peers.add({ peer, contender, ...able, [Symbol.asyncDispose]: dispose });
    } catch (error) {
      await dispose();
      if (this.#bench.signal.aborted) throw error;
      this.#note(peer, error);
    }
  }

  #note({ name, title }: Peer, error: unknown): void {
    const [line = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    this.#absences.push({ peer: name, title, why: line.slice(0, whyColumns) });
  }
}

/** As rows are made of. */
export function byContender(
  found: ReadonlyMap<Entrant, readonly Measurement[]>,
): ReadonlyMap<Contender, readonly Measurement[]> {
  return new Map([...found].map(([{ contender }, measurements]) => [contender, measurements]));
}
