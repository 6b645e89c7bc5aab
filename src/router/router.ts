import { HoldfastError } from '../common/errors.js';
import { createGrpcServer, listenGrpc, routerService, stopGrpcServer } from '../wire/grpc/grpc-server.js';
import type { TlsTexts } from '../wire/grpc/grpc-transport.js';
import { type HealthServer, startHealthServer } from '../wire/grpc/health-server.js';
import { keepAlarms } from './alarms.js';
import { watchLeases } from './placement/lease-watch.js';
import { createRouterParts, type RouterDeps } from './router-parts.js';
import type { ControlStream } from './service/control-stream.js';
import { beatForEver } from './service/router-heartbeat.js';
import { routerHandlers } from './service/service.js';
import { keepVolumes } from './volumes/volume-upkeep.js';

export interface RouterConfig extends RouterDeps {
  /** `host:port` of the gRPC server; port 0 takes a free one. */
  readonly listen: string;
  /** `host:port` that workers are told; default: what it listens on. */
  readonly advertise?: string | undefined;
  /** `host:port` of `/healthz`, `/readyz` and `/metrics`; absent: there is none. */
  readonly http?: string | undefined;
  readonly tls?: TlsTexts | undefined;
}

/** A router that runs. */
export interface Router {
  /** `host:port` of its gRPC server. */
  readonly address: string;
  readonly httpAddress: string | null;
  /** Sends its clients to other routers, then ends; the store and the bus stay open. */
  close(): Promise<void>;
}

const closeGraceMs = 1_000;

/** One of any number of routers; it keeps nothing that another one needs. @throws Unavailable, InvalidArgument */
export async function startRouter(config: RouterConfig): Promise<Router> {
  const { clock, log, store, bus, routerId, listen } = config;
  const parts = createRouterParts(config);
  const streams = new Set<ControlStream>();
  const server = createGrpcServer();
  let health: HealthServer | null = null;
  try {
    server.addService(routerService, routerHandlers(parts, streams));
    const port = await listenGrpc(server, listen, config.tls);
    if (config.http !== undefined) {
      const ready = () => checkReady({ store, bus });
      const metrics = async () => (await config.metrics?.text()) ?? '';
      health = await startHealthServer(config.http, { ready, metrics });
    }
    const address = `${listen.slice(0, listen.lastIndexOf(':'))}:${port}`;
    const { closed } = parts;
    const beating = beatForEver(config, { routerId, address: config.advertise ?? address }, closed);
    const keeping = Promise.all([keepVolumes(config, closed), keepAlarms(parts, closed), watchLeases(parts, closed)]);
    log.debug('router.started', { address });
    const close = async (): Promise<void> => {
      const reason = new HoldfastError('Unavailable', `router ${routerId} is closing; ask another one`);
      for (const stream of streams) stream.close(reason);
      parts.close();
      await Promise.all([beating, keeping, health?.close(), stopGrpcServer(server, clock, closeGraceMs)]);
      log.debug('router.closed');
    };
    let closing: Promise<void> | null = null;
    return { address, httpAddress: health?.address ?? null, close: () => (closing ??= close()) };
  } catch (error) {
    parts.close();
    server.forceShutdown();
    throw error;
  }
}

async function checkReady({ store, bus }: Pick<RouterConfig, 'store' | 'bus'>): Promise<void> {
  if (!bus.isConnected) throw new HoldfastError('Unavailable', 'the bus is not connected');
  await store.ping();
}
