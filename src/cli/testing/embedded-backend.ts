import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultLeaseTimes } from '../../common/lease.js';
import { removeFolder } from '../../runtime/process/remove-folder.js';
import { openEmbeddedServices } from '../parts/embedded-services.js';
import { defaultMaxContainers, defaultMaxSandboxes, defaultWarmSandboxes, hostOffer } from '../parts/host-offer.js';
import { startRouterPart } from '../parts/router-part.js';
import { openEmbeddedKms } from '../parts/secrets-kms.js';
import { createToken } from '../parts/tokens.js';
import { startWorkerPart } from '../parts/worker-part.js';
import { type ClusterBackend, testAccount } from './cluster-backend.js';
import type { ClusterPlan } from './cluster-options.js';
import { embeddedPart } from './cluster-process.js';
import { Reaper } from './reaper.js';

const listen = '127.0.0.1:0';

/** Routers and workers in this process. @throws Unavailable */
export async function openEmbeddedBackend(plan: ClusterPlan): Promise<ClusterBackend> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-embedded-'));
  const reaper = new Reaper(folder);
  const removeFiles = async (): Promise<void> => {
    await removeFolder(folder);
    await reaper.dismiss();
  };
  try {
    const services = await openEmbeddedServices(folder);
    const kms = await openEmbeddedKms(folder);
    const own = () => ({ ...services, bus: services.hub.connect() });
    return {
      natsUrl: null,
      redisUrl: null,
      createToken: async () =>
        (await createToken(services.store, { account: testAccount, role: 'deploy', label: 'testing' })).token,
      startRouter: async (id) => {
        const config = { routerId: id, account: testAccount, listen, leaseTimes: defaultLeaseTimes, kms };
        const router = await startRouterPart(own(), config);
        return embeddedPart(id, router.address, { stop: () => router.close(), abandon: () => router.close() });
      },
      startWorker: async ({ id, offer = {}, maxContainers, sandboxIsolation }) => {
        const worker = await startWorkerPart(own(), {
          workerId: id,
          account: testAccount,
          listen,
          offer: { ...(await hostOffer({})), ...offer },
          isolation: plan.isolation,
          sandboxIsolation,
          maxContainers: maxContainers ?? defaultMaxContainers(),
          warmContainers: 1,
          maxSandboxes: maxContainers ?? defaultMaxSandboxes(),
          warmSandboxes: defaultWarmSandboxes,
          dataFolder: join(folder, id),
          containerEnv: { ...plan.env },
          leaseTimes: defaultLeaseTimes,
        });
        return embeddedPart(id, worker.address, { stop: () => worker.stop(), abandon: () => worker.abandon() });
      },
      close: async () => {
        await services.close();
        await removeFiles();
      },
    };
  } catch (e) {
    await removeFiles();
    throw e;
  }
}
