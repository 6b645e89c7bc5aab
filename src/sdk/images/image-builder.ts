import { createHash } from 'node:crypto';
import { type ErrorCode, HoldfastError, isHoldfastError } from '../../common/errors.js';
import { type BuildEvent, copyPath } from '../../common/image-build.js';
import { recipeKeys } from '../../common/image-recipe.js';
import type { AppManifest } from '../../common/manifest.js';
import { resolveSandboxOptions } from '../../common/sandbox-options.js';
import { ClassSource } from '../classes/class-source.js';
import { type KnownDeployment, readDeployment } from '../classes/deployments.js';
import { publish } from '../deploy/publish.js';
import { sandboxManifest } from '../sandbox/sandbox-manifest.js';
import { remoteCalls, type SessionCalls } from '../sandbox/session-calls.js';
import { Upload } from '../sandbox/upload.js';
import type { ClientCore } from '../sessions/client-core.js';
import type { PortableRecipe } from './local-files.js';
import type { LocalTar } from './local-tar.js';

/** The app whose sessions images are built in: one for each image, so that whoever needs the same one waits for the same build. */
const builderApp = 'holdfast-images';
const builderName = 'builder';
/** From its first start, of what was uploaded for the build too. */
const lifetimeMs = 14_400_000;
const idleTimeoutMs = 60_000;
/** Another worker takes over what one has lost. */
const tries = 4;
const again: ReadonlySet<ErrorCode> = new Set([
  'StreamLost',
  'OutcomeUnknown',
  'InstanceLost',
  'InstanceGone',
  'InstanceClosed',
]);

/** Builds an image on a worker, or finds it there. @returns its id @throws as ImageBuilds does, Cancelled */
export async function buildRemotely(
  client: ClientCore,
  portable: PortableRecipe,
  { onEvent, signal }: { readonly onEvent: (event: BuildEvent) => void; readonly signal?: AbortSignal | undefined },
): Promise<string> {
  const deployment = await builderDeployment(client, signal);
  const origin = { kind: 'sandbox', appName: builderApp, name: builderName, local: null, deployment } as const;
  const source = new ClassSource({ ...origin, choice: client });
  const id = recipeKeys(portable.recipe, 'any').at(-1)?.slice(0, 32) as string;
  // Each file is sent once, unless the worker that had it is lost.
  let triesLeft = tries + portable.tars.size;
  let told = -1;
  // What was told before is not told again where it is begun again.
  const onNext = (event: BuildEvent): void => {
    if (event.type === 'step' && event.step <= told) return;
    if (event.type === 'step') told = event.step;
    onEvent(event);
  };
  for (;;) {
    triesLeft -= 1;
    const calls = remoteCalls(await source.create(id, [{ lifetimeMs }]));
    try {
      return await follow(calls, portable, { onEvent: onNext, signal });
    } catch (e) {
      if (signal?.aborted) throw new HoldfastError('Cancelled', 'the build of an image was cancelled', { cause: e });
      if (!isHoldfastError(e) || triesLeft === 0) throw e;
      const missing = portable.tars.get(String(e.details['sha256']));
      if (e.code === 'FileNotFound' && missing !== undefined) await send(calls, missing, client);
      else if (!again.has(e.code)) throw e;
    }
  }
}

async function follow(
  calls: SessionCalls,
  { recipe }: PortableRecipe,
  { onEvent, signal }: { readonly onEvent: (event: BuildEvent) => void; readonly signal: AbortSignal | undefined },
): Promise<string> {
  for await (const event of calls.stream<BuildEvent>('buildImage', [recipe], { signal })) {
    onEvent(event);
    if (event.type === 'built') return event.image;
  }
  throw new HoldfastError('StreamLost', `${calls.label} ended before its image was built`, { outcome: 'unknown' });
}

/** Under another name first: somebody else may be reading or sending the same. */
async function send(calls: SessionCalls, { sha256, read }: LocalTar, { random }: ClientCore): Promise<void> {
  const path = copyPath(sha256);
  const partial = `${path}.${Buffer.from(random.bytes(8)).toString('hex')}`;
  const upload = await Upload.open(calls, partial, { makeParents: true });
  try {
    for await (const bytes of read()) await upload.write(bytes);
    await upload.end();
  } catch (e) {
    await upload.abort();
    throw e;
  }
  await calls.call('rename', [partial, path]);
}

async function builderDeployment(client: ClientCore, signal: AbortSignal | undefined): Promise<KnownDeployment> {
  try {
    return await client.deployments.current(builderApp);
  } catch (e) {
    if (!isHoldfastError(e, 'NotFound')) throw e;
  }
  const options = resolveSandboxOptions(`sandbox ${builderName}`, { idleTimeoutMs, onLoss: 'recreate' });
  const manifest: AppManifest = {
    ...{ app: builderApp, tags: [], metadata: {} },
    classes: { [builderName]: { ...sandboxManifest(builderName, options), exportName: builderName } },
  };
  const code = new Uint8Array(0);
  const bundle = { code, sha256: createHash('sha256').update(code).digest('hex') };
  return readDeployment(await publish(client, { manifest, bundle, instances: 'keep', signal }));
}
