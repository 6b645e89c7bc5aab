import { HoldfastError } from '../../common/errors.js';
import { chooseClient } from '../client-choice.js';
import { currentPlace } from '../container-state.js';
import type { Deployment, DeployOptions } from '../infos.js';

/** `app.deploy()`: by what it is told, or by the entry that the app was made with. */
export async function deployApp(
  name: string,
  appEntry: string | URL | null,
  options: DeployOptions,
): Promise<Deployment> {
  const place = currentPlace();
  // The module is loaded to be looked at: it is the deploy that goes on around it.
  if (place === 'describing') return { app: name, version: 0, bundleSha256: '', createdAt: new Date(0) };
  if (place === 'container') return await running(name, options);
  const { entry = appEntry, ...rest } = options;
  if (entry === null) {
    throw new HoldfastError(
      'InvalidArgument',
      `app '${name}' does not know its module: new App('${name}', { entry: import.meta.url }), or deploy({ entry })`,
    );
  }
  // Not at import: most programs deploy nothing, and no container does.
  const { deployModule } = await import('./deploy-module.js');
  const { app, version, bundleSha256, createdAt } = await deployModule(entry, { ...rest, app: name });
  return { app, version, bundleSha256, createdAt };
}

async function running(name: string, options: DeployOptions): Promise<Deployment> {
  const { app, version, bundleSha256, createdAtMs } = await chooseClient(options).deployments.current(name);
  return { app, version, bundleSha256, createdAt: new Date(createdAtMs) };
}
