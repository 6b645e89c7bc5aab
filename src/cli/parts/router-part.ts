import { ulid } from 'ulid';
import { systemClock, systemRandom } from '../../adapters/system/clock.js';
import type { Logger } from '../../common/context.js';
import type { LeaseTimes } from '../../common/lease.js';
import type { Kms } from '../../common/ports/kms.js';
import { startRouter } from '../../router/router.js';
import { createRouterMetrics } from '../../router/service/metrics.js';
import type { Services, TlsFiles } from './services.js';
import { silentLog } from './silent-log.js';
import { readTls } from './tls.js';

export interface RouterPartConfig {
  /** Default: a ULID. */
  readonly routerId?: string;
  readonly account: string;
  /** `host:port`; port 0 takes a free one. */
  readonly listen: string;
  /** `host:port` that workers are told; default: what it listens on. */
  readonly advertise?: string;
  /** `host:port` of `/healthz`, `/readyz`, `/metrics`. */
  readonly http?: string;
  readonly tls?: TlsFiles;
  readonly leaseTimes: LeaseTimes;
  /** Of the account's secrets; null: they cannot be used. */
  readonly kms: Kms | null;
  /** Default: nowhere. */
  readonly log?: Logger;
}

/** A router that runs. */
export interface RouterPart {
  readonly id: string;
  readonly address: string;
  readonly httpAddress: string | null;
  close(): Promise<void>;
}

/** @throws Unavailable, InvalidArgument */
export async function startRouterPart(services: Services, config: RouterPartConfig): Promise<RouterPart> {
  const id = config.routerId ?? ulid(systemClock.now());
  const router = await startRouter({
    routerId: id,
    accounts: [config.account],
    store: services.store,
    bus: services.bus,
    objects: services.objects,
    kms: config.kms,
    clock: systemClock,
    random: systemRandom,
    log: config.log ?? silentLog,
    leaseTimes: config.leaseTimes,
    metrics: createRouterMetrics(),
    listen: config.listen,
    advertise: config.advertise,
    http: config.http,
    tls: await readTls(config.tls),
  });
  return { id, address: router.address, httpAddress: router.httpAddress, close: () => router.close() };
}
