import { defaultLeaseTimes } from '../../common/lease.js';
import type { Store } from '../../common/ports/store.js';
import { openEmbeddedServices } from '../parts/embedded-services.js';
import { defaultMaxContainers, defaultMaxSandboxes, defaultWarmSandboxes, hostOffer } from '../parts/host-offer.js';
import { startRouterPart } from '../parts/router-part.js';
import { openEmbeddedKms } from '../parts/secrets-kms.js';
import { createToken } from '../parts/tokens.js';
import { startWorkerPart } from '../parts/worker-part.js';

/** A router and a worker in this process, over an embedded store and bus. */
export interface DevCluster {
  readonly endpoint: string;
  /** Of role deploy, good until the next start. */
  readonly token: string;
  /** Ends the worker, whose instances finish what they do and run their exit hooks. */
  drain(): Promise<void>;
  /** Drains, and ends all parts. */
  close(): Promise<void>;
}

const account = 'default';
const tokenLabel = 'holdfast dev';

/** @throws Unavailable, InvalidArgument */
export async function startDevCluster(options: {
  readonly folder: string;
  /** A folder or a url; undefined: in the folder. */
  readonly objectStore: string | undefined;
  readonly listen: string;
  readonly env: Readonly<Record<string, string>>;
  readonly onFenced: (why: string) => void;
}): Promise<DevCluster> {
  const services = await openEmbeddedServices(options.folder, options.objectStore);
  const closing: (() => Promise<void>)[] = [() => services.close()];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  try {
    const token = await freshToken(services.store);
    const leaseTimes = defaultLeaseTimes;
    const kms = await openEmbeddedKms(options.folder);
    const router = await startRouterPart(services, { account, listen: options.listen, leaseTimes, kms });
    closing.push(() => router.close());
    const worker = await startWorkerPart(services, {
      workerId: 'dev',
      account,
      listen: '127.0.0.1:0',
      offer: await hostOffer({}),
      isolation: 'process',
      maxContainers: defaultMaxContainers(),
      warmContainers: 1,
      maxSandboxes: defaultMaxSandboxes(),
      warmSandboxes: defaultWarmSandboxes,
      dataFolder: options.folder,
      containerEnv: options.env,
      leaseTimes,
      onFenced: options.onFenced,
    });
    const stopWorker = (): Promise<void> => worker.stop();
    closing.push(stopWorker);
    const drain = async (): Promise<void> => {
      if (closing.at(-1) === stopWorker) await closing.pop()?.();
    };
    return { endpoint: router.address, token, drain, close };
  } catch (e) {
    await close();
    throw e;
  }
}

/** Tokens of earlier starts end here. */
async function freshToken(store: Store): Promise<string> {
  for (const { id, label } of await store.keys.listTokens(account)) {
    if (label === tokenLabel) await store.keys.deleteToken(account, id);
  }
  return (await createToken(store, { account, role: 'deploy', label: tokenLabel })).token;
}
