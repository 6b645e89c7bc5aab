import { HoldfastError } from '../../common/errors.js';
import { expected } from '../../common/option-checks.js';
import { during } from '../calls/call-limits.js';
import { currentPlace } from '../classes/container-state.js';
import { chooseClient, chosen } from '../client-choice.js';
import type { Deployment, DeployOptions } from '../infos.js';

const deployChecks = {
  entry: expected.stringOrUrl,
  instances: expected.oneOf('keep', 'restart'),
  onImage: expected.callback,
} as const;

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
  const { limits } = chosen(`the deploy of app '${name}'`, options, deployChecks);
  const { entry = appEntry, ...rest } = options;
  if (entry === null) {
    throw new HoldfastError(
      'InvalidArgument',
      `app '${name}' does not know its module: new App('${name}', { entry: import.meta.url }), or deploy({ entry })`,
    );
  }
  // Not at import: most programs deploy nothing, and no container does.
  const { deployModule } = await import('./deploy-module.js');
  const given = new AbortController();
  const signal = rest.signal === undefined ? given.signal : AbortSignal.any([rest.signal, given.signal]);
  try {
    const deploying = deployModule(entry, { ...rest, app: name, signal });
    const { app, version, bundleSha256, createdAt } = await during(limits, deploying);
    return { app, version, bundleSha256, createdAt };
  } finally {
    // Builds and uploads that nobody waits for any more.
    given.abort();
  }
}

async function running(name: string, options: DeployOptions): Promise<Deployment> {
  const { app, version, bundleSha256, createdAtMs } = await chooseClient(options).deployments.current(name);
  return { app, version, bundleSha256, createdAt: new Date(createdAtMs) };
}
