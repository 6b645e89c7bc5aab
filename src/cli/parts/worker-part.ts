import { systemClock } from '../../adapters/system/clock.js';
import type { Logger } from '../../common/context.js';
import { HoldfastError } from '../../common/errors.js';
import type { LeaseTimes } from '../../common/lease.js';
import type { Isolation } from '../../common/manifest.js';
import type { IsolationBackend } from '../../common/ports/sandbox.js';
import type { SweptBoot } from '../../runtime/isolation/leftovers.js';
import { createWorkerMetrics } from '../../runtime/metrics.js';
import { OutboundProxies } from '../../runtime/outbound/outbound-proxy.js';
import { RefusedAddresses } from '../../runtime/outbound/refused-addresses.js';
import type { Worker } from '../../runtime/worker.js';
import type { TlsTexts } from '../../wire/grpc/grpc-transport.js';
import { startHealthServer } from '../../wire/grpc/health-server.js';
import { serveWorker } from '../../wire/grpc/worker-server.js';
import { startBoot } from './boot.js';
import { checkIsolation, isolationLack, sweepDeadBoots, tryIsolation } from './isolation.js';
import { RouterFinder } from './router-finder.js';
import type { Services, TlsFiles } from './services.js';
import { readTls } from './tls.js';

export interface WorkerPartConfig {
  readonly workerId: string;
  readonly account: string;
  /** `host:port` of the data path; port 0 takes a free one. */
  readonly listen: string;
  /** `host:port` that clients are told; default: what it listens on. */
  readonly advertise?: string;
  /** `host:port` of `/healthz`, `/readyz`, `/metrics`. */
  readonly http?: string;
  readonly tls?: TlsFiles;
  /** Path of the authority (PEM) of the routers and workers that it dials for its containers; default: that of `tls`. */
  readonly dialCa?: string;
  readonly offer: Readonly<Record<string, unknown>>;
  readonly isolation: Isolation;
  /** Default `bubblewrap`. */
  readonly sandboxIsolation?: IsolationBackend['kind'] | undefined;
  readonly maxContainers: number;
  readonly warmContainers: number;
  readonly maxSandboxes: number;
  readonly warmSandboxes: number;
  /** For the layers of images, unpacked. Default 20. */
  readonly imageCacheGb?: number;
  /** URL of a mirror of Debian, for images. */
  readonly debianMirror?: string;
  readonly dataFolder: string;
  readonly containerEnv: Readonly<Record<string, string>>;
  readonly leaseTimes: LeaseTimes;
  /** Default: nowhere. */
  readonly log?: Logger;
  /** Boots before this one had left something, which is removed now. */
  readonly onSwept?: (boots: readonly SweptBoot[]) => void;
  /** A boot was fenced, or could not start after that; another one is tried. */
  readonly onFenced?: (why: string) => void;
  /** The boot after a fenced one takes placements. */
  readonly onBooted?: () => void;
}

/** A worker that runs: boot after boot, until it is stopped. */
export interface WorkerPart {
  readonly id: string;
  readonly address: string;
  readonly httpAddress: string | null;
  /** Releases every instance and places none any more; how many left. */
  drain(): Promise<number>;
  /** Drains, then ends. */
  stop(): Promise<void>;
  /** Ends as if killed: nothing is drained, no `exit` hook runs. */
  abandon(): Promise<void>;
}

const firstRetryMs = 200;
const longestRetryMs = 5_000;

/** @throws Unavailable, InvalidArgument, SandboxUnavailable */
export async function startWorkerPart(services: Services, given: WorkerPartConfig): Promise<WorkerPart> {
  // What classes get at least is not more than what sandboxes get.
  const config = given.isolation === 'gvisor' ? { ...given, sandboxIsolation: 'gvisor' as const } : given;
  await checkIsolation(config.isolation, config.dataFolder);
  // Who asks for the stronger one does not want a worker without it.
  if (config.sandboxIsolation === 'gvisor') await tryIsolation(config.dataFolder, 'gvisor');
  const sandboxLack = await isolationLack(config.dataFolder);
  const swept = await sweepDeadBoots(config.dataFolder);
  if (swept.length > 0) config.onSwept?.(swept);
  const metrics = createWorkerMetrics();
  const tls = await readTls(config.tls);
  const routers = new RouterFinder(config.account, services.bus, await dialingTls(config));
  let worker: Worker | null = null;
  const server = await serveWorker(config.listen, {
    accept: (channel) => (worker === null ? channel.close() : worker.accept(channel)),
    serveBytes: async (ticket, stream) => await worker?.tickets.serve(ticket, stream),
    clock: systemClock,
    tls,
  });
  const address = config.advertise ?? server.address;
  const refused = new RefusedAddresses(systemClock, () => [...services.hosts, ...routers.hosts]);
  const outbound = new OutboundProxies({ clock: systemClock, refused });
  const shared = { metrics, transport: routers.transport.bind(routers), outbound };
  const boot = () => startBoot(services, { ...config, address, sandboxLack }, shared);
  const ending = new AbortController();
  const health =
    config.http === undefined
      ? null
      : await startHealthServer(config.http, {
          ready: () => checkReady(services, { workerId: config.workerId, worker }),
          metrics: () => metrics.text(),
        });
  const end = async (how: (worker: Worker) => Promise<void>): Promise<void> => {
    ending.abort();
    try {
      if (worker !== null) await how(worker);
    } finally {
      await Promise.all([server.close(), routers.close(), health?.close()]);
    }
  };
  worker = await boot();
  const keepBooting = async (): Promise<void> => {
    while (!ending.signal.aborted && worker !== null) {
      const why = await ended(worker);
      if (ending.signal.aborted) return;
      config.onFenced?.(why);
      worker = await bootAgain(boot, config, ending.signal);
    }
  };
  void keepBooting();
  metrics.observe(() => worker?.gauges ?? { instances: 0, containers: 0, sandboxes: 0, clients: 0, leaseAgeMs: 0 });
  return {
    id: config.workerId,
    address,
    httpAddress: health?.address ?? null,
    drain: async () => (await worker?.drain()) ?? 0,
    stop: () => end((running) => running.stop()),
    abandon: () => end((running) => running.abandon()),
  };
}

/** What it dials has TLS where it has itself, or where an authority says so; its own certificate is what it shows there. */
async function dialingTls({ tls, dialCa }: WorkerPartConfig): Promise<TlsTexts | undefined> {
  return await readTls(dialCa === undefined ? tls : { ...tls, ca: dialCa });
}

/** Not while it would refuse whatever is placed on it. @throws Unavailable */
async function checkReady(
  { store }: Services,
  { workerId, worker }: { readonly workerId: string; readonly worker: Worker | null },
): Promise<void> {
  const refusing = worker === null ? 'starting' : worker.refusing;
  if (refusing !== null)
    throw new HoldfastError('Unavailable', `worker ${workerId} takes no placements: it is ${refusing}`);
  await store.ping();
}

function ended(worker: Worker): Promise<string> {
  const { over } = worker;
  if (over.aborted) return Promise.resolve(String(over.reason));
  return new Promise((resolve) => over.addEventListener('abort', () => resolve(String(over.reason)), { once: true }));
}

/** A fenced boot never comes back (S6); the next one needs the store, and waits for it. */
async function bootAgain(
  boot: () => Promise<Worker>,
  { onFenced, onBooted }: WorkerPartConfig,
  ending: AbortSignal,
): Promise<Worker | null> {
  for (let delayMs = firstRetryMs; !ending.aborted; delayMs = Math.min(longestRetryMs, delayMs * 2)) {
    try {
      const worker = await boot();
      onBooted?.();
      return worker;
    } catch (e) {
      onFenced?.(`the next boot did not start: ${e instanceof Error ? e.message : String(e)}`);
      await systemClock.sleep(delayMs, ending).catch(() => undefined); // ending: the condition sees it
    }
  }
  return null;
}
