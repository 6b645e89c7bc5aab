import { dirname } from 'node:path';
import type { AppManifest } from '../../common/manifest.js';
import { readDeployment } from '../classes/deployments.js';
import { chooseClient } from '../client-choice.js';
import { type ImageProgress, withBuiltImages } from '../images/deploy-images.js';
import type { ClientChoice, Deployment } from '../infos.js';
import { bundleModule, entryPath } from './bundle.js';
import { describeBundle } from './describe.js';
import { publish } from './publish.js';

/** How to deploy a module. */
export interface DeployModuleOptions extends ClientChoice {
  /** Default `keep`. */
  readonly instances?: 'keep' | 'restart' | undefined;
  /** Which of its apps; needed where it declares several. */
  readonly app?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** What happens while its images are built. */
  readonly onImage?: ((progress: ImageProgress) => void) | undefined;
}

/** A deployment, and what it says. */
export type ModuleDeployment = Deployment & { readonly manifest: AppManifest };

/**
 * Bundles a module, finds out what it declares, and publishes it.
 *
 * @param entry path or URL of the module
 * @throws InvalidArgument, Unavailable naming the endpoint, PermissionDenied, and where an image cannot be built CommandFailed
 */
export async function deployModule(entry: string | URL, options: DeployModuleOptions = {}): Promise<ModuleDeployment> {
  const { app, instances = 'keep', signal, onImage = () => undefined } = options;
  const client = chooseClient(options);
  const bundle = await bundleModule(entry);
  const described = await describeBundle(bundle, { appName: app ?? null, signal });
  // Before anything is published: what is deployed can run.
  const folder = dirname(entryPath(entry));
  const manifest = await withBuiltImages(client, described, { folder, onImage, signal });
  const published = readDeployment(await publish(client, { manifest, bundle, instances, signal }));
  const { version, bundleSha256, createdAtMs } = published;
  return { app: published.app, version, bundleSha256, createdAt: new Date(createdAtMs), manifest };
}
