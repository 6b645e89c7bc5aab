import { createHash } from 'node:crypto';
import type { Clock } from '../../common/clock.js';
import type { Logger } from '../../common/context.js';
import { HoldfastError } from '../../common/errors.js';
import type { AppManifest, DeploymentRecord } from '../../common/manifest.js';
import { checkedName } from '../../common/names.js';
import type { ObjectStore } from '../../common/ports/object-store.js';
import type { DeployHeader, Deployment, DeployPart } from '../../wire/gen/holdfast/v1/router.js';
import type { Request } from '../service/request.js';
import { deploymentView } from '../views/list-apps.js';
import type { Deployments } from './deployments.js';
import { parseManifest } from './parse-manifest.js';
import type { Redeploys } from './redeploy.js';

const maxBundleBytes = 67_108_864;
/** What is published stays so: a caller learns of it even where instances take longer to end than it waits. */
const maxRestartWaitMs = 60_000;
const answerBeforeMs = 500;

export interface DeployParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly objects: ObjectStore;
  readonly deployments: Deployments;
  readonly redeploys: Redeploys;
}

interface Upload {
  readonly header: DeployHeader;
  readonly manifest: AppManifest;
  readonly bundle: Uint8Array;
}

/**
 * Publishes a version of an app. The bundle is stored by its hash before the manifest names it, so that whoever sees the
 * version finds its bundle.
 * @throws InvalidArgument, PayloadTooLarge
 */
export async function deploy(
  parts: DeployParts,
  stream: AsyncIterable<DeployPart>,
  request: Request,
): Promise<Deployment> {
  const { clock, log, objects, deployments, redeploys } = parts;
  const { account } = request;
  request.waiting.what = 'the bundle';
  const { header, manifest, bundle } = await receive(stream);
  request.throwIfAborted();
  request.waiting.what = 'the object store and the store';
  const { app, bundleSha256 } = header;
  const key = `bundles/${bundleSha256}`;
  if (!(await objects.has(key))) await objects.put(key, bundle);
  const before = await deployments.current(account, app);
  const record = await deployments.publish({ account, app, bundleSha256, createdAtMs: clock.now(), manifest });
  log.info('app.deployed', { app, version: record.version, bundle: bundleSha256, instances: header.instances });
  if (header.instances === 'restart') {
    request.waiting.what = 'running instances to end';
    const waitMs = Math.min(maxRestartWaitMs, request.deadline - clock.monotonic() - answerBeforeMs);
    await redeploys.restart(record, classesOf(before, record), Math.max(0, waitMs));
  }
  return deploymentView(record);
}

/** Classes that are no longer in the app have instances too. */
function classesOf(...deployments: (DeploymentRecord | null)[]): string[] {
  return [...new Set(deployments.flatMap((deployment) => Object.keys(deployment?.manifest.classes ?? {})))];
}

async function receive(stream: AsyncIterable<DeployPart>): Promise<Upload> {
  let header: DeployHeader | null = null;
  let manifest: AppManifest | null = null;
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const { part } of stream) {
    if (part === undefined)
      throw new HoldfastError('InvalidArgument', 'deploy: a message has neither a header nor a bundle');
    if (part.$case === 'header') {
      if (header !== null) throw new HoldfastError('InvalidArgument', 'deploy: the header came twice');
      header = part.value;
      manifest = checkedManifest(header);
      continue;
    }
    // Not a byte is kept for somebody who does not say what it is.
    if (header === null) throw new HoldfastError('InvalidArgument', 'deploy: the header must come before the bundle');
    bytes += part.value.length;
    if (bytes > maxBundleBytes) {
      throw new HoldfastError('PayloadTooLarge', `the bundle of ${header.app} has more than ${maxBundleBytes} bytes`, {
        details: { maxBytes: maxBundleBytes },
      });
    }
    pieces.push(part.value);
  }
  if (header === null || manifest === null) throw new HoldfastError('InvalidArgument', 'deploy: no header came');
  const bundle = Buffer.concat(pieces);
  const sha256 = createHash('sha256').update(bundle).digest('hex');
  if (sha256 !== header.bundleSha256) {
    throw new HoldfastError(
      'InvalidArgument',
      `the bundle of ${header.app} has SHA-256 ${sha256}, its header says ${header.bundleSha256}: it changed on the way, deploy again`,
    );
  }
  return { header, manifest, bundle };
}

function checkedManifest({ app, manifestJson, bundleSha256, instances }: DeployHeader): AppManifest {
  checkedName('app', app);
  if (instances !== 'keep' && instances !== 'restart') {
    throw new HoldfastError(
      'InvalidArgument',
      `deploy: instances is ${JSON.stringify(instances)}, expected keep or restart`,
    );
  }
  if (!/^[0-9a-f]{64}$/.test(bundleSha256)) {
    throw new HoldfastError('InvalidArgument', 'deploy: bundleSha256 is not 64 hexadecimal digits');
  }
  const manifest = parseManifest(manifestJson);
  if (manifest.app === app) return manifest;
  throw new HoldfastError('InvalidArgument', `deploy: the header names app ${app}, its manifest ${manifest.app}`);
}
