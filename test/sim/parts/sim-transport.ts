import { HoldfastError, isHoldfastError } from '../../../src/common/errors.js';
import type { Channel, Transport } from '../../../src/common/ports/channel.js';
import type { SimProcess } from '../engine/sim-process.js';
import { dial } from '../net/dial.js';
import type { ClusterContext, RouterListener } from './cluster-context.js';

const routerWithinMs = 2_000;
const workerWithinMs = 20_000;
const silentAfterMs = 8_000;

/** How clients and workers dial: as the gRPC transport does, one router for as long as it answers. */
export class SimTransport implements Transport {
  readonly #context: ClusterContext;
  readonly #process: SimProcess;
  readonly #routers: readonly string[];
  #used = 0;

  constructor(context: ClusterContext, process: SimProcess, routers: readonly string[]) {
    this.#context = context;
    this.#process = process;
    this.#routers = routers;
  }

  openRouter(): Channel {
    const address = this.#current;
    const { network } = this.#context;
    const host = this.#context.hostOf(address);
    const channel = dial(network, this.#process, {
      host,
      find: () => this.#context.router(address),
      withinMs: routerWithinMs,
    });
    return {
      open: (handlers) =>
        channel.open({
          ...handlers,
          onMessage: (message) => handlers.onMessage(message),
          onDrain: () => handlers.onDrain(),
          onClosed: (error) => {
            if (isHoldfastError(error, 'Unavailable')) this.#leave(address);
            handlers.onClosed(error);
          },
        }),
      send: (message) => channel.send(message),
      close: (error) => channel.close(error),
    };
  }

  openWorker(address: string): Channel {
    const host = this.#context.hostOf(address);
    const find = () => this.#context.worker(address);
    return dial(this.#context.network, this.#process, { host, find, withinMs: workerWithinMs });
  }

  async unary(
    method: string,
    request: Uint8Array,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array> {
    for (let untried = this.#routers.length; ; untried -= 1) {
      const address = this.#current;
      try {
        return await this.#ask(address, options.timeoutMs, (router) => router.unary(method, request));
      } catch (error) {
        if (!isHoldfastError(error, 'Unavailable') || untried <= 1) throw error;
        this.#leave(address);
      }
    }
  }

  async close(): Promise<void> {
    // Its channels are closed by who has them.
  }

  get #current(): string {
    return this.#routers[this.#used % this.#routers.length] as string;
  }

  #leave(address: string): void {
    if (this.#current === address) this.#used += 1;
  }

  #ask<T>(address: string, timeoutMs: number, ask: (router: RouterListener) => Promise<T>): Promise<T> {
    const { network } = this.#context;
    const from = this.#process;
    const host = this.#context.hostOf(address);
    return new Promise((resolve, reject) => {
      const isCut = host.isDown || network.isCut(from.host, host) || network.isCut(host, from.host);
      const late = new HoldfastError('Unavailable', `router ${address} did not answer`, { outcome: 'unknown' });
      const timer = from.clock.after(isCut ? routerWithinMs : timeoutMs, () => reject(late));
      if (isCut) return;
      const back = (settle: () => void): void => {
        if (network.isCut(host, from.host)) return;
        from.in(network.latencyMs(host, from.host), () => {
          timer.cancel();
          settle();
        });
      };
      const router = this.#context.router(address);
      const arrive = network.latencyMs(from.host, host);
      if (router === null) {
        from.in(2 * arrive, () => {
          timer.cancel();
          reject(new HoldfastError('Unavailable', `nobody listens at ${address}`));
        });
        return;
      }
      // As a broken stream tells: not before a while where the machine is gone.
      const forget = router.process.onDeath(() => {
        from.in(host.isDown ? silentAfterMs : arrive, () => {
          timer.cancel();
          reject(late);
        });
      });
      from.in(silentAfterMs, () => {
        const isGone = router.process.isStopped || network.isCut(from.host, host) || network.isCut(host, from.host);
        if (!isGone) return;
        timer.cancel();
        reject(late);
      });
      router.process.in(arrive, () => {
        ask(router)
          .then(
            (value) => back(() => resolve(value)),
            (error: unknown) => back(() => reject(error)),
          )
          .finally(forget);
      });
    });
  }
}
