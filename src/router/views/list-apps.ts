import type { DeploymentRecord } from '../../common/manifest.js';
import type { Deployment, ListAppsReply } from '../../wire/gen/holdfast/v1/router.js';
import type { Deployments } from '../apps/deployments.js';
import type { Principal } from '../service/request.js';

/** The apps of the account and what their current deployments have. */
export async function listApps(deployments: Deployments, { account }: Principal): Promise<ListAppsReply> {
  const records = await deployments.list(account);
  return {
    apps: records.map(({ app, version, manifest }) => ({
      name: app,
      deployment: version,
      resources: Object.keys(manifest.classes).sort(),
    })),
  };
}

/** A deployment as clients see it. */
export function deploymentView({ app, version, bundleSha256, createdAtMs, manifest }: DeploymentRecord): Deployment {
  return { app, version, bundleSha256, createdAtMs, manifestJson: JSON.stringify(manifest) };
}
