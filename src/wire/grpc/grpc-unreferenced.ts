import type { Socket } from 'node:net';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { grpcJs } from './grpc-js.js';

let wrap: ((inner: ChannelCredentials) => ChannelCredentials) | null = null;

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>;

/**
 * The same credentials, for connections that do not keep the process alive. grpc-js references the socket of a session as
 * long as it has a stream, and ours has one always; the credentials are where it hands out its sockets.
 */
export function unreferenced(inner: ChannelCredentials): ChannelCredentials {
  wrap ??= unreferencing(grpcJs().ChannelCredentials);
  return wrap(inner);
}

/** grpc-js's own class, once it is loaded, is what ours extends. */
function unreferencing(Base: typeof ChannelCredentials): (inner: ChannelCredentials) => ChannelCredentials {
  class Unreferenced extends Base {
    readonly #inner: ChannelCredentials;

    constructor(inner: ChannelCredentials) {
      super();
      this.#inner = inner;
    }

    override compose(...args: Parameters<ChannelCredentials['compose']>): ChannelCredentials {
      return new Unreferenced(this.#inner.compose(...args));
    }

    override _isSecure(): boolean {
      return this.#inner._isSecure();
    }

    override _equals(other: ChannelCredentials): boolean {
      return other instanceof Unreferenced && this.#inner._equals(other.#inner);
    }

    override _createSecureConnector(...args: Parameters<ChannelCredentials['_createSecureConnector']>): Connector {
      const connector = this.#inner._createSecureConnector(...args);
      return {
        connect: async (socket) => {
          const connected = await connector.connect(socket);
          unreference(socket);
          unreference(connected.socket);
          return connected;
        },
        waitForReady: () => connector.waitForReady(),
        getCallCredentials: () => connector.getCallCredentials(),
        destroy: () => connector.destroy(),
      };
    }
  }
  return (inner) => new Unreferenced(inner);
}

/** For good: the session would reference it again with its first stream. */
function unreference(socket: Socket): void {
  socket.unref();
  socket.ref = () => socket;
}
