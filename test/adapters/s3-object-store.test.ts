import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openS3Bucket } from '../../src/adapters/s3/s3-bucket.js';
import { openS3ObjectStore } from '../../src/adapters/s3/s3-object-store.js';
import { parseS3Url } from '../../src/adapters/s3/s3-url.js';
import { systemClock } from '../../src/adapters/system/clock.js';
import type { ObjectStore } from '../../src/common/ports/object-store.js';
import { describeObjectStore } from '../contracts/object-store-contract.js';
import { type S3Fault, S3FaultProxy } from '../s3/fault-proxy.js';
import { SigningS3Server } from '../s3/signing-server.js';
import { SlowLink } from '../s3/slow-link.js';
import { startS3, type TestServer } from '../servers.js';

const credentials = { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret/test+key' };
const open = (url: string, by = credentials) => openS3ObjectStore({ url, clock: systemClock, credentials: by });

describeObjectStore('an object store in a bucket', async () => {
  const server = await startS3();
  return {
    store: await open(`s3://${server.bucket}/some/prefix?endpoint=${server.url}`),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
});

describeObjectStore('an object store in a bucket whose server checks signatures and lists in small pages', async () => {
  const server = await SigningS3Server.start();
  server.pageSize = 7;
  return { store: await open(server.url()), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
});

const answersThatBreak: S3Fault[] = ['cut', 'other-etag', 'trickle'];
const faults: S3Fault[] = ['error-500', 'slow-down', 'drop', 'late-drop', 'twice'];

describeObjectStore('an object store in a bucket, each first request of which meets a fault', async () => {
  const server = await startS3();
  const proxy = await S3FaultProxy.start(server.url);
  const store = await open(`s3://${server.bucket}?endpoint=${proxy.endpoint}`);
  const met = new Set<string>();
  proxy.fault = ({ method, path, query }) => {
    // What is deleted late would be deleted again; a deletion has one attempt.
    if (method === 'DELETE') return null;
    const name = `${method} ${path} ${query.get('partNumber')} ${query.get('prefix')}`;
    if (met.has(name)) return null;
    met.add(name);
    const possible = method === 'GET' ? [...faults, ...answersThatBreak] : faults;
    return possible[met.size % possible.length] ?? null;
  };
  return {
    store,
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
});

describe('a bucket', () => {
  let server: TestServer & { readonly bucket: string };
  let proxy: S3FaultProxy;
  let store: ObjectStore;
  beforeAll(async () => {
    server = await startS3();
    proxy = await S3FaultProxy.start(server.url);
    store = await open(`s3://${server.bucket}/here?endpoint=${proxy.endpoint}`);
  });
  afterEach(() => {
    proxy.fault = () => null;
    proxy.seen.length = 0;
  });
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  it('has its keys under the prefix of the url, and large objects in parts', async () => {
    const large = randomBytes(40_000_000);
    await store.put('bundles/large', large);
    expect(proxy.seen.filter((request) => request.includes('partNumber='))).toHaveLength(5);
    const whole = await open(`s3://${server.bucket}?endpoint=${proxy.endpoint}`);
    expect(Buffer.compare((await whole.get('here/bundles/large')) ?? Buffer.alloc(1), large)).toBe(0);
  });

  it('whose answers always break never gives a part of an object for the whole', async () => {
    const bytes = randomBytes(1_000_000);
    await store.put('whole', bytes);
    for (const fault of ['cut', 'late-drop', 'error-500'] as const) {
      proxy.fault = ({ method }) => (method === 'GET' ? fault : null);
      await expect(store.get('whole')).rejects.toMatchObject({
        ...{ code: 'Unavailable', outcome: 'unknown', retryable: true },
        message: expect.stringContaining(proxy.endpoint),
      });
    }
  });

  it('that takes a put twice, as its first answer was lost, has the object', async () => {
    const bytes = randomBytes(1_000);
    let puts = 0;
    proxy.fault = ({ method }) => (method === 'PUT' && puts++ === 0 ? 'late-drop' : null);
    await store.put('twice', bytes);
    expect(puts).toBe(2);
    expect(await store.get('twice')).toEqual(new Uint8Array(bytes));
  });

  it('that gives wrong tags for parts is told the object anew, and then is not believed', async () => {
    const large = randomBytes(20_000_000);
    let isWrong = true;
    proxy.fault = ({ method, query }) => {
      const fault = isWrong && method === 'PUT' && query.get('partNumber') === '2' ? 'other-etag' : null;
      if (fault !== null) isWrong = false;
      return fault;
    };
    await store.put('tags', large);
    expect(Buffer.compare((await store.get('tags')) ?? Buffer.alloc(1), large)).toBe(0);
    proxy.fault = ({ query }) => (query.get('partNumber') === '2' ? 'other-etag' : null);
    await expect(store.put('tags', randomBytes(20_000_000))).rejects.toMatchObject({ code: 'Unavailable' });
    expect(Buffer.compare((await store.get('tags')) ?? Buffer.alloc(1), large)).toBe(0);
  });

  it.each(['stall', 'stall-midway'] as const)(
    'that does not answer (%s) is given up at the deadline',
    async (fault) => {
      let late: () => void = () => undefined;
      let stalled = (): void => undefined;
      const clock = {
        ...systemClock,
        after: (ms: number, task: () => void) => {
          late = task;
          // Who has begun to answer has the time, too, that the bytes take on a slow link.
          if (fault === 'stall-midway' && ms > 25_000) stalled();
          return { cancel: () => undefined };
        },
      };
      const url = `s3://${server.bucket}/here?endpoint=${proxy.endpoint}`;
      const impatient = await openS3ObjectStore({ url, clock, credentials });
      await impatient.put('stalled', randomBytes(100_000));
      proxy.fault = () => {
        if (fault === 'stall') setImmediate(() => stalled());
        return fault;
      };
      const operations = [() => impatient.get('stalled'), () => impatient.getRange('stalled', 10, 50_000)];
      if (fault === 'stall') {
        operations.push(async () => (await impatient.put('stalled', randomBytes(5))) ?? null);
        operations.push(async () => (await impatient.delete('stalled')) ?? null);
      }
      for (const operation of operations) {
        const isStalled = new Promise<void>((resolve) => {
          stalled = resolve;
        });
        const answer = operation().catch((error: unknown) => error);
        await isStalled;
        late();
        expect(await answer).toMatchObject({
          code: 'Unavailable',
          message: expect.stringContaining('did not answer within'),
        });
      }
    },
  );

  it('behind a slow link has what many write to it at once, also where each takes longer than a silence may', async () => {
    await using link = await SlowLink.start(server.url, 3_000_000);
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-slow-'));
    const slow = await open(`s3://${server.bucket}/slow?endpoint=${link.endpoint}`);
    const location = {
      ...{ bucketName: server.bucket, endpointUrl: link.endpoint, region: 'auto', prefix: '', forcePathStyle: true },
    };
    const keys = { accessKeyId: credentials.accessKeyId, secretAccessKey: credentials.secretAccessKey };
    const bucket = await openS3Bucket(location, keys, systemClock);
    const bytes = randomBytes(16_000_000);
    const path = join(folder, 'file');
    await writeFile(path, bytes);
    const parts = [bytes.subarray(0, 8_000_000), bytes.subarray(8_000_000)];
    await Promise.all([
      bucket.put('slow/file', { path, size: bytes.length }),
      ...parts.map((part, i) => slow.put(`part-${i}`, part)),
    ]);
    bucket.close();
    const whole = await open(`s3://${server.bucket}/slow?endpoint=${server.url}`);
    const written = await Promise.all(['file', 'part-0', 'part-1'].map((key) => whole.get(key)));
    const same = [bytes, ...parts].map((part, i) => part.equals(written[i] ?? Buffer.alloc(0)));
    expect(same).toEqual([true, true, true]);
    await rm(folder, { recursive: true });
  });

  it('deletes once, so that nothing is deleted late', async () => {
    proxy.fault = ({ method }) => (method === 'DELETE' ? 'error-500' : null);
    await expect(store.delete('any')).rejects.toMatchObject({ code: 'Unavailable' });
    expect(proxy.seen).toHaveLength(1);
  });

  it('whose server was killed says so, and serves again when that is back', async () => {
    await server.stop();
    await expect(store.put('x', randomBytes(10))).rejects.toMatchObject({ code: 'Unavailable', retryable: true });
    await server.start();
    await fetch(`${server.url}/${server.bucket}`, { method: 'PUT' });
    await store.put('x', randomBytes(10));
    expect((await store.get('x'))?.length).toBe(10);
  });
});

describe('a bucket with keys', () => {
  let server: SigningS3Server;
  beforeAll(async () => {
    server = await SigningS3Server.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('whose answers are refusals, errors or nothing gives errors with no key and no signature in whatever they have', async () => {
    await using proxy = await S3FaultProxy.start(server.endpoint);
    const url = server.url().replace(server.endpoint, proxy.endpoint);
    const store = await open(url);
    const faults: S3Fault[] = ['error-500', 'drop', 'late-drop'];
    const met: unknown[] = [await open(url, { accessKeyId: 'AKIDTEST', secretAccessKey: 'wrong' }).catch((e) => e)];
    for (const fault of faults) {
      proxy.fault = () => fault;
      met.push(await store.delete('x').catch((e: unknown) => e));
    }
    for (const error of met) {
      expect(error).toMatchObject({ code: 'Unavailable' });
      expect(inspect(error, { depth: 20, showHidden: true })).not.toMatch(
        /signature=|AKIDTEST|secret\/test|authorization/i,
      );
    }
  });

  it('that is not there, or refuses the keys, is told in words that help when it is opened', async () => {
    const other = server.url().replace(server.bucket, 'no-such-bucket');
    const attempts: [Promise<ObjectStore>, string][] = [
      [open(other), 'no such bucket'],
      [open(server.url(), { accessKeyId: 'AKIDOTHER', secretAccessKey: 'x' }), 'AWS_ACCESS_KEY_ID'],
      [open(server.url(), { ...server.credentials, secretAccessKey: 'wrong-secret' }), 'AWS_SECRET_ACCESS_KEY'],
    ];
    for (const [opening, words] of attempts) {
      const refused = await opening.catch((error: Error) => error);
      expect(refused).toMatchObject({
        ...{ code: 'Unavailable', retryable: false },
        message: expect.stringContaining(words),
      });
      expect(String(refused)).not.toContain('wrong-secret');
    }
  });

  it('signs urls by which others read and write one object, the very one', async () => {
    const { presigner } = await open(server.url());
    if (presigner === null) throw new Error('no presigner');
    const bytes = randomBytes(5_000);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const { url, headers } = await presigner.put('signed/object', sha256);
    const put = (body: Buffer, with_: Readonly<Record<string, string>> = headers) =>
      fetch(url, { method: 'PUT', body, headers: with_ });
    expect((await put(randomBytes(5_000))).status).toBe(400);
    expect((await put(bytes, {})).status).toBe(403);
    expect((await put(bytes)).status).toBe(200);
    const read = await presigner.get('signed/object');
    expect(Buffer.from(await (await fetch(read.url)).arrayBuffer())).toEqual(bytes);
    expect((await fetch(read.url.replace('signed/object', 'signed/other'))).status).toBe(403);
    expect((await fetch(read.url, { method: 'DELETE' })).status).toBe(403);
  });
});

describe('the url of a bucket', () => {
  it('names bucket, prefix, endpoint and region', () => {
    expect(parseS3Url('s3://data')).toMatchObject({
      ...{ bucket: 'data', prefix: '', endpoint: null, region: null, forcePathStyle: false },
    });
    expect(parseS3Url('s3://data/a/b/?endpoint=http://minio:9000&region=eu-west-1')).toMatchObject({
      ...{ bucket: 'data', prefix: 'a/b', endpoint: 'http://minio:9000', region: 'eu-west-1', forcePathStyle: true },
    });
    expect(parseS3Url('s3://data?endpoint=https://fly.storage.tigris.dev&pathStyle=false')).toMatchObject({
      forcePathStyle: false,
    });
  });

  it('that cannot be read is refused with what it should be', () => {
    const wrong = ['s3://', 's3://A', 'http://x', 's3://data/..', 's3://data?endpoint=minio', 's3://data?secret=x'];
    for (const url of [...wrong, 's3://data/a b', `s3://data/${'x/'.repeat(80)}`])
      expect(() => parseS3Url(url)).toThrow(
        expect.objectContaining({ code: 'InvalidArgument', message: expect.stringContaining('s3://bucket') }),
      );
  });

  it('has no user and password, which would be shown wherever the place is', () => {
    expect(() => parseS3Url('s3://data?endpoint=https://me:hidden@minio:9000')).toThrow(
      expect.objectContaining({ code: 'InvalidArgument', message: expect.not.stringContaining('hidden') }),
    );
  });
});
