import { z } from 'zod';
import { HoldfastError } from '../../common/errors.js';
import { isHash } from '../../common/image.js';
import type { AppManifest } from '../../common/manifest.js';
import { isSecretName, isVariableName, maxSecretsPerClass } from '../../common/secret.js';
import { bucketProblem, maxMounts, mountPathProblem } from '../../common/volume-mounts.js';
import { isVolumeName } from '../../common/volumes/volume-name.js';

const maxManifestBytes = 1_048_576;

const name = z.string().min(1).max(256);
const count = z.number().int().min(0);
const positive = z.number().positive();
const choice = z.union([z.string(), z.array(z.string()).min(1)]);
const metadata = z.record(z.string(), z.unknown());

const offerFilter = z.union([
  z.string(),
  z.number(),
  z.boolean(),
  z.array(z.union([z.string(), z.number()])).min(1),
  z.strictObject({ min: z.number().optional(), max: z.number().optional() }),
]);

const placement = z.strictObject({
  gpu: choice.optional(),
  gpuCount: count.optional(),
  minVramGb: z.number().optional(),
  geolocation: choice.optional(),
  offerFilters: z.record(z.string(), offerFilter).optional(),
  maxCostPerHourUsd: z.number().optional(),
  maxCostPerTflopHourUsd: z.number().optional(),
  minTotalFlops: z.number().optional(),
  minGpuRamBandwidthGbps: z.number().optional(),
  minCpuCores: z.number().optional(),
  minCpuRamGb: z.number().optional(),
  minCpuGhz: z.number().optional(),
  minDiskBandwidthMbS: z.number().optional(),
  minInternetUploadMbps: z.number().optional(),
  minInternetDownloadMbps: z.number().optional(),
  secureCloudOnly: z.boolean().optional(),
  diskGb: z.number().optional(),
});

const retries = z.object({
  maxRetries: count,
  initialDelayMs: z.number().min(0),
  backoffCoefficient: z.number().min(0),
  maxDelayMs: z.number().min(0),
});

const secret = z.object({
  name: z.string().refine(isSecretName, 'is not the name of a secret'),
  requiredKeys: z.array(z.string().refine(isVariableName, 'is not the name of a variable')).max(256).optional(),
});

const volumeMount = z.object({
  path: z.string().refine((path) => mountPathProblem(path) === null, 'is no path for a mount'),
  volume: z.string().refine(isVolumeName, 'is no name of a volume'),
  whenMissing: z
    .object({
      sizeGb: positive.optional(),
      backend: z.enum(['cloud_bucket', 'vast_local']).optional(),
      mountPathDefault: z.string().optional(),
      geolocation: z.array(z.string()).optional(),
    })
    .optional(),
  readOnly: z.boolean(),
  mode: z.enum(['shared', 'private']),
  autoCommit: z.boolean(),
});

const bucketMount = z.object({
  path: volumeMount.shape.path,
  bucket: z
    .object({
      ...{ bucketName: z.string(), endpointUrl: z.string(), region: z.string(), prefix: z.string() },
      ...{ accessKeySecret: z.string(), secretKeySecret: z.string(), forcePathStyle: z.boolean() },
    })
    .refine((bucket) => bucketProblem(bucket) === null, 'is no bucket that can be mounted'),
  readOnly: z.boolean(),
});

const liveMount = z.object({
  path: volumeMount.shape.path,
  networkFileSystem: z.string().refine(isVolumeName, 'is no name of a network file system'),
  createIfMissing: z.boolean(),
  readOnly: z.boolean(),
});

const options = z.object({
  cpu: positive,
  memoryMb: positive,
  timeoutMs: positive,
  retries,
  concurrentRequests: count.min(1),
  maxPendingTasks: count,
  tasksPerContainer: count.min(1),
  maxContainers: count.min(1).optional(),
  minContainers: count.optional(),
  bufferContainers: count.optional(),
  startupTimeoutMs: positive,
  exitTimeoutMs: z.number().min(0),
  idleTimeoutMs: positive.nullable(),
  isolation: z.enum(['process', 'bubblewrap', 'gvisor']).nullable(),
  onLoss: z.enum(['fail', 'recreate']).nullable(),
  placement,
  secrets: z.array(secret).max(maxSecretsPerClass).default([]),
  image: z.string().refine(isHash, 'is not the id of an image').optional(),
  volumes: z
    .array(z.union([volumeMount, bucketMount, liveMount]))
    .max(maxMounts)
    .optional(),
  tags: z.array(z.string()),
  metadata,
});

const parameters = z.array(z.object({ name: z.string(), optional: z.boolean(), rest: z.boolean() }));

const method = z.object({
  name,
  generator: z.boolean(),
  parameters,
  tags: z.array(z.string()),
  metadata,
  idempotent: z.boolean(),
  concurrent: z.boolean(),
  batch: z.object({ maxSize: count.min(1), waitMs: z.number().min(0) }).optional(),
});

const manifest = z.object({
  app: name,
  tags: z.array(z.string()),
  metadata,
  classes: z.record(
    name,
    z.object({
      // A manifest of a version that had no sandboxes.
      kind: z.enum(['class', 'function', 'sandbox']).default('class'),
      name,
      exportName: z.string().max(256),
      options,
      methods: z.record(name, method),
      parameters,
      signature: z.string().nullable(),
      enterHooks: z.array(name),
      exitHooks: z.array(name),
      alarm: name.nullish(),
    }),
  ),
});

/** The manifest of a deploy, checked in every field that a router or worker relies on. @throws InvalidArgument */
export function parseManifest(json: string): AppManifest {
  if (json.length > maxManifestBytes) {
    throw new HoldfastError(
      'InvalidArgument',
      `the manifest has ${json.length} characters, at most ${maxManifestBytes} are allowed`,
    );
  }
  const parsed = manifest.safeParse(parseJson(json));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue === undefined ? 'it' : issue.path.map(String).join('.') || 'it';
  throw new HoldfastError(
    'InvalidArgument',
    `the manifest is not one this router knows: ${where}: ${issue?.message}; deploy with a \`holdfast\` of the cluster's version`,
  );
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new HoldfastError('InvalidArgument', 'the manifest is not JSON', { cause });
  }
}
