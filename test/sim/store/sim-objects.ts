import { HoldfastError } from '../../../src/common/errors.js';
import type { ObjectStore } from '../../../src/common/ports/object-store.js';
import type { SimProcess } from '../engine/sim-process.js';
import type { Network } from '../net/network.js';

const timeoutMs = 5_000;

/** Objects in memory; each process reaches them over its network. */
export class ObjectServer {
  readonly process: SimProcess;
  readonly network: Network;
  readonly #objects = new Map<string, Uint8Array>();

  constructor(process: SimProcess, network: Network) {
    this.process = process;
    this.network = network;
  }

  connect(process: SimProcess): ObjectStore {
    const objects = this.#objects;
    const run = <T>(action: () => T): Promise<T> => this.#run(process, action);
    return {
      put: (key, bytes) => run(() => void this.#objects.set(key, new Uint8Array(bytes))),
      get: (key) => run(() => this.#objects.get(key) ?? null),
      has: (key) => run(() => this.#objects.has(key)),
      delete: (key) => run(() => void this.#objects.delete(key)),
      getRange: (key, offset, length) => run(() => this.#objects.get(key)?.subarray(offset, offset + length) ?? null),
      list: async function* (folder) {
        const keys = await run(() => [...objects.keys()].filter((key) => key.startsWith(`${folder}/`)));
        if (keys.length > 0) yield keys;
      },
      pathOf: null,
      presigner: null,
    };
  }

  #run<T>(from: SimProcess, action: () => T): Promise<T> {
    const { network, process } = this;
    return new Promise((resolve, reject) => {
      const late = new HoldfastError('Unavailable', `the object store did not answer within ${timeoutMs} ms`);
      const timer = from.clock.after(timeoutMs, () => reject(late));
      if (network.isLost(from.host, process.host)) return;
      process.in(network.latencyMs(from.host, process.host), () => {
        const value = action();
        if (network.isLost(process.host, from.host)) return;
        from.in(network.latencyMs(process.host, from.host), () => {
          timer.cancel();
          resolve(value);
        });
      });
    });
  }
}
