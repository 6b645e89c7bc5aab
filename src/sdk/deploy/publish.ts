import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { AppManifest } from '../../common/manifest.js';
import { DeployPart, Deployment as WireDeployment } from '../../wire/gen/holdfast/v1/router.js';
import type { ClientCore } from '../sessions/client-core.js';
import { unreachable } from '../sessions/router-errors.js';
import type { Bundle } from './bundle.js';

export interface Publication {
  readonly manifest: AppManifest;
  readonly bundle: Bundle;
  readonly instances: 'keep' | 'restart';
  readonly signal?: AbortSignal | undefined;
}

const pieceBytes = 1_048_576;
const uploadWithinMs = 120_000;

/** Sends the bundle to a router, which makes it the app's next deployment. @throws Unavailable naming the endpoint, PermissionDenied */
export async function publish(client: ClientCore, publication: Publication): Promise<WireDeployment> {
  const { transport, endpoint } = client;
  const { signal } = publication;
  if (transport.upload === undefined) {
    throw new HoldfastError('Unavailable', `${endpoint} takes no deploys; deploy from a program or with the CLI`);
  }
  if (signal?.aborted) throw new HoldfastError('Cancelled', 'the deploy was cancelled before anything was published');
  try {
    const limits = { timeoutMs: uploadWithinMs, ...(signal === undefined ? {} : { signal }) };
    const deployment = WireDeployment.decode(await transport.upload('Deploy', parts(publication), limits));
    client.deployed(deployment.app, deployment.version);
    return deployment;
  } catch (e) {
    if (signal?.aborted) {
      throw new HoldfastError('Cancelled', 'the deploy was cancelled', { outcome: 'unknown', cause: e });
    }
    throw isHoldfastError(e, 'Unavailable') ? unreachable(endpoint, e) : e;
  }
}

function* parts({ manifest, bundle, instances }: Publication): Generator<Uint8Array, void, undefined> {
  const header = {
    app: manifest.app,
    manifestJson: JSON.stringify(manifest),
    bundleSha256: bundle.sha256,
    instances,
  };
  yield DeployPart.encode({ part: { $case: 'header', value: header } }).finish();
  for (let at = 0; at < bundle.code.length; at += pieceBytes) {
    const value = Buffer.from(bundle.code.subarray(at, at + pieceBytes));
    yield DeployPart.encode({ part: { $case: 'bundle', value } }).finish();
  }
}
