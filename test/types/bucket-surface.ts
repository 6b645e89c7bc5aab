/** Type tests of buckets, in the compiler of this project and in TypeScript 5.9. Nothing here runs. */
import { App, CloudBucketMount, Secret } from 'holdfast';

export function buckets(): void {
  const bucket: CloudBucketMount = new CloudBucketMount({
    bucketName: 'team-datasets',
    accessKeySecret: 'ACCESS',
    secretKeySecret: Secret.fromName('SECRET'),
    endpointUrl: 'https://s3.example',
    region: 'auto',
    prefix: 'examples/datasets',
    readOnly: false,
    forcePathStyle: true,
    mountPath: '/bucket',
  });
  const mounted: CloudBucketMount = bucket.mountedAt('/bucket').mount('/other');
  new App('a').sandbox({ volumes: { '/data': bucket } });
  new App('b').sandbox({ volumes: [mounted] });
  // @ts-expect-error its keys are needed
  new CloudBucketMount({ bucketName: 'b', endpointUrl: 'https://s3.example' });
}
