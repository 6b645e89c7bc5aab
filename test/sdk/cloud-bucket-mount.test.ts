import { App, CloudBucketMount, Secret } from 'holdfast';
import { expect, it } from 'vitest';
import { checkSessionArguments } from '../../src/common/session-options.js';

const options = {
  bucketName: 'team-datasets',
  accessKeySecret: 'ACCESS',
  secretKeySecret: Secret.fromName('SECRET'),
  endpointUrl: 'https://s3.example',
};

it('a bucket says what is to be mounted, by the names of its secrets', () => {
  const bucket = new CloudBucketMount({ ...options, prefix: '/examples/datasets/' });
  expect(bucket.mountPath).toBeNull();
  expect(bucket.mount('/a').mountPath).toBe('/a');
  // As the package's own code has it.
  const source: () => unknown = Reflect.get(bucket.mountedAt('/bucket'), Symbol.for('holdfast.mountable'));
  expect(source.call(bucket)).toEqual({
    bucket: {
      ...{ bucketName: 'team-datasets', endpointUrl: 'https://s3.example', region: 'auto', forcePathStyle: false },
      ...{ prefix: 'examples/datasets', accessKeySecret: 'ACCESS', secretKeySecret: 'SECRET' },
    },
    readOnly: false,
  });
});

it('what can be no bucket is refused where it is made', async () => {
  const wrong: [object, RegExp][] = [
    [{ bucketName: 'a b' }, /bucketName/],
    [{ bucketName: 3 }, /bucketName/],
    [{ endpointUrl: 's3.example' }, /endpointUrl/],
    [{ endpointUrl: 'https://user:password@s3.example' }, /endpointUrl/],
    [{ endpointUrl: 'https://s3.example/a/path' }, /endpointUrl/],
    [{ region: '' }, /region/],
    [{ prefix: 'a//b' }, /prefix/],
    [{ prefix: '../b' }, /prefix/],
    [{ accessKeySecret: '' }, /accessKeySecret/],
    [{ secretKeySecret: undefined }, /secretKeySecret/],
    [{ readOnly: 'yes' }, /readOnly/],
    [{ forcePathStyle: 1 }, /forcePathStyle/],
    [{ mountPath: 'relative' }, /absolute path/],
    [{ bucket: 'x' }, /no option 'bucket'/],
  ];
  for (const [change, why] of wrong)
    expect(() => new CloudBucketMount({ ...options, ...change })).toThrow(
      expect.objectContaining({ code: 'InvalidArgument', message: expect.stringMatching(why) }),
    );
  const app = new App('a');
  // Whoever may only call chooses no endpoint to which a secret is sent.
  const mounted = new CloudBucketMount({ ...options, mountPath: '/b' });
  const session = app.sandbox({ name: 's' }).create({ volumes: [mounted] });
  await expect(session).rejects.toThrow(/is named by app.sandbox/);
  const sent = { volumes: [{ path: '/b', bucket: { ...options, secretKeySecret: 'SECRET' }, readOnly: false }] };
  expect(() => checkSessionArguments('a session', sent)).toThrow(/does not know/);
  expect(() => app.sandbox({ volumes: [new CloudBucketMount(options)] })).toThrow(/absolute path/);
});
