import type { ChannelCredentials, Client } from '@grpc/grpc-js';
import { isHoldfastError } from '../../common/errors.js';
import type { Channel } from '../../common/ports/channel.js';
import { grpcJs } from './grpc-js.js';
import { clientOptions } from './grpc-options.js';

/** A router, and the connection to it. */
export interface DialedRouter {
  /** `host:port`. */
  readonly address: string;
  readonly client: Client;
}

/** TCP alone would go on for two minutes where nothing answers. */
const connectWithinMs = 2_000;

/** Equal routers of one cluster, of which one is in use: the first that can be reached, and for as long as it can. */
export class GrpcRouters {
  readonly #routers: readonly [DialedRouter, ...DialedRouter[]];
  #used = 0;

  /** @param addresses `host:port` each */
  constructor(addresses: readonly [string, ...string[]], credentials: ChannelCredentials) {
    const { Client } = grpcJs();
    const dialed = (address: string) => ({ address, client: new Client(address, credentials, clientOptions) });
    const [first, ...others] = addresses;
    this.#routers = [dialed(first), ...others.map(dialed)];
  }

  get current(): DialedRouter {
    return this.#routers[this.#used] ?? this.#routers[0];
  }

  /** It cannot be reached, or broke: the next one is in use, unless somebody went there before. */
  leave(router: DialedRouter): void {
    if (router === this.current) this.#used = (this.#used + 1) % this.#routers.length;
  }

  /** One that is connected, so that nothing is ever sent twice to find it; the last one untried, for its own error. */
  async connected(deadlineMs: number, signal: AbortSignal | undefined): Promise<DialedRouter> {
    for (let untried = this.#routers.length; untried > 1 && !signal?.aborted; untried -= 1) {
      const router = this.current;
      if (await isConnected(router.client, deadlineMs, signal)) return router;
      this.leave(router);
    }
    return this.current;
  }

  /** A stream of the router in use; where that one breaks or is not reached, the next stream is another router's. */
  open(start: (router: DialedRouter) => { readonly channel: Channel; cancel(): void }): Channel {
    const router = this.current;
    const { channel, cancel } = start(router);
    if (this.#routers.length === 1) return channel;
    void isConnected(router.client, Number.POSITIVE_INFINITY, undefined).then((is) => is || cancel());
    return {
      open: ({ onMessage, onDrain, onClosed }) =>
        channel.open({
          onMessage,
          onDrain,
          onClosed: (error) => {
            if (isHoldfastError(error, 'Unavailable')) this.leave(router);
            onClosed(error);
          },
        }),
      send: (message) => channel.send(message),
      close: (error) => channel.close(error),
    };
  }

  close(): void {
    for (const { client } of this.#routers) client.close();
  }
}

/** Connects where that is not under way; false at the first failure, or when it takes too long. */
function isConnected(client: Client, deadlineMs: number, signal: AbortSignal | undefined): Promise<boolean> {
  const { connectivityState } = grpcJs();
  const channel = client.getChannel();
  // biome-ignore lint/plugin: grpc-js keeps its own timers by this clock, and no simulation runs over gRPC
  const until = Math.min(deadlineMs, Date.now() + connectWithinMs);
  return new Promise((resolve) => {
    const settle = (is: boolean): void => {
      signal?.removeEventListener('abort', stop);
      resolve(is);
    };
    const stop = (): void => settle(false);
    const look = (late?: Error): void => {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) return settle(true);
      const isHopeless = state === connectivityState.TRANSIENT_FAILURE || state === connectivityState.SHUTDOWN;
      if (late !== undefined || isHopeless) return settle(false);
      channel.watchConnectivityState(state, until, look);
    };
    signal?.addEventListener('abort', stop, { once: true });
    look();
  });
}
