import { readdir } from 'node:fs/promises';
import { App, CloudBucketMount } from 'holdfast';

export const app = new App('cloud-bucket', { entry: import.meta.url });

/** A bucket that is there already: name yours. Only what is below the prefix is seen. */
const datasets = new CloudBucketMount({
  bucketName: 'team-datasets',
  accessKeySecret: 'BUCKET_ACCESS_KEY',
  secretKeySecret: 'BUCKET_SECRET_KEY',
  endpointUrl: 'https://storage.example.com',
  forcePathStyle: true,
  prefix: 'examples/datasets',
});

export const shell = app.sandbox({ name: 'shell', volumes: [datasets.mountedAt('/bucket')] });
export const listBucket = app.function(async () => await readdir('/bucket'), {
  volumes: [datasets.mountedAt('/bucket')],
});
