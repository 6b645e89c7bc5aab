import { App, CloudBucketMount } from 'holdfast';

export const app = new App('cloud-bucket', { entry: import.meta.url });

/** A bucket that is there already, with keys of its own; only what is below the prefix is seen. */
const datasets = new CloudBucketMount({
  bucketName: process.env['BUCKET_NAME'] ?? 'team-datasets',
  accessKeySecret: 'BUCKET_ACCESS_KEY',
  secretKeySecret: 'BUCKET_SECRET_KEY',
  endpointUrl: process.env['BUCKET_ENDPOINT'] ?? 'https://storage.example.com',
  forcePathStyle: true,
  prefix: 'examples/datasets',
});

export const shell = app.sandbox({ name: 'shell', volumes: [datasets.mountedAt('/bucket')] });
