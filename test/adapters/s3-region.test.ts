import { afterEach, beforeEach, expect, test } from 'vitest';
import { openS3Bucket } from '../../src/adapters/s3/s3-bucket.js';
import { openS3ObjectStore } from '../../src/adapters/s3/s3-object-store.js';
import { systemClock } from '../../src/adapters/system/clock.js';
import { SigningS3Server } from '../s3/signing-server.js';

let server: SigningS3Server;
beforeEach(async () => {
  server = await SigningS3Server.start();
});
afterEach(() => server[Symbol.asyncDispose]());

const bucketIn = (region: string) => {
  const { bucket: bucketName, endpoint: endpointUrl, credentials } = server;
  return openS3Bucket({ bucketName, endpointUrl, region, prefix: '', forcePathStyle: true }, credentials, systemClock);
};
const storeIn = (region: string | null) => {
  const url = `${server.url()}${region === null ? '' : `&region=${region}`}`;
  return openS3ObjectStore({ url, clock: systemClock, credentials: server.credentials });
};

test('a bucket is spoken to in the region that is named, and in the usual one where none is', async () => {
  server.region = 'eu-central-7';
  const store = await storeIn('eu-central-7');
  await store.put('a', Buffer.from('1'));
  const bucket = await bucketIn('eu-central-7');
  expect(await bucket.head('here/a')).toMatchObject({ key: 'here/a', size: 1 });
  bucket.close();
  server.region = 'us-east-1';
  (await bucketIn('auto')).close();
  expect(await (await storeIn(null)).get('a')).toEqual(new Uint8Array(Buffer.from('1')));
});

test('a bucket in another region is refused once, with what to name', async () => {
  server.region = 'eu-central-7';
  for (const region of ['us-west-2', null])
    await expect(storeIn(region)).rejects.toMatchObject({
      ...{ code: 'Unavailable', retryable: false },
      message: expect.stringContaining('name it in the url, region=NAME'),
    });
  for (const region of ['us-west-2', 'auto'])
    await expect(bucketIn(region)).rejects.toMatchObject({
      ...{ code: 'NotFound', retryable: false },
      message: expect.stringContaining('another region: name it as `region`'),
    });
});
