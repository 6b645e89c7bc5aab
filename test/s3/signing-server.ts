import { createHash, createHmac, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface S3Request {
  readonly method: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: URLSearchParams;
}

interface Stored {
  readonly bytes: Buffer;
  readonly etag: string;
}

/**
 * An S3 server in this process, for what others do not check: signatures in headers and urls, checksums, listings in pages of
 * any size.
 */
export class SigningS3Server implements AsyncDisposable {
  readonly bucket = 'holdfast-test';
  readonly credentials = { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret/test+key' };
  /** Of a listing. */
  pageSize = 1_000;
  /** The only one whose signatures it takes; null: any. */
  region: string | null = null;
  readonly #objects = new Map<string, Stored>();
  readonly #uploads = new Map<string, Map<number, Stored>>();
  readonly #server = createServer((request, response) => {
    this.#serve(request, response).catch(() => {
      if (!response.headersSent) sendError(response, 500, 'InternalError');
    });
  });

  static async start(): Promise<SigningS3Server> {
    const server = new SigningS3Server();
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  url(prefix = 'here'): string {
    return `s3://${this.bucket}/${prefix}?endpoint=${this.endpoint}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://host');
    const [, bucket = '', ...rest] = url.pathname.split('/').map(decodeURIComponent);
    const asked: S3Request = { method: request.method ?? '', bucket, key: rest.join('/'), query: url.searchParams };
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const body = Buffer.concat(pieces);
    const refusal = this.#refusal(request, url, body);
    if (refusal !== null) return sendError(response, refusal === 'AuthorizationHeaderMalformed' ? 400 : 403, refusal);
    if (bucket !== this.bucket) return sendError(response, 404, 'NoSuchBucket');
    const answer = this.#answer(asked, request, body);
    response.writeHead(answer.status, { ...answer.headers, 'content-length': answer.body.length });
    response.end(asked.method === 'HEAD' ? undefined : answer.body);
  }

  #answer(asked: S3Request, request: IncomingMessage, body: Buffer): Answer {
    const { method, key, query } = asked;
    if (key === '' && query.get('list-type') === '2') return this.#list(query);
    if (query.has('uploads') || query.has('uploadId')) return this.#multipart(asked, body);
    if (method === 'PUT') {
      const checksum = request.headers['x-amz-checksum-sha256'];
      if (checksum !== undefined && checksum !== createHash('sha256').update(body).digest('base64'))
        return failure(400, 'BadDigest');
      const stored = { bytes: body, etag: etagOf(body) };
      this.#objects.set(key, stored);
      return { status: 200, headers: { etag: stored.etag }, body: Buffer.alloc(0) };
    }
    if (method === 'DELETE') {
      this.#objects.delete(key);
      return { status: 204, headers: {}, body: Buffer.alloc(0) };
    }
    const stored = this.#objects.get(key);
    if (stored === undefined) return failure(404, 'NoSuchKey');
    return rangeOf(stored, request.headers.range);
  }

  #list(query: URLSearchParams): Answer {
    const prefix = query.get('prefix') ?? '';
    const after = query.get('continuation-token') ?? '';
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    const page = keys.slice(0, this.pageSize);
    const isTruncated = keys.length > page.length;
    const contents = page.map((key) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`).join('');
    const next = isTruncated ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '';
    return xml(`<ListBucketResult><IsTruncated>${isTruncated}</IsTruncated>${contents}${next}</ListBucketResult>`);
  }

  #multipart({ method, key, query }: S3Request, body: Buffer): Answer {
    if (query.has('uploads')) {
      const id = randomUUID();
      this.#uploads.set(id, new Map());
      return xml(
        `<InitiateMultipartUploadResult><Bucket>${this.bucket}</Bucket><Key>${key}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
      );
    }
    const id = query.get('uploadId') ?? '';
    const parts = this.#uploads.get(id);
    if (parts === undefined) return failure(404, 'NoSuchUpload');
    if (method === 'PUT') {
      const stored = { bytes: body, etag: etagOf(body) };
      parts.set(Number(query.get('partNumber')), stored);
      return { status: 200, headers: { etag: stored.etag }, body: Buffer.alloc(0) };
    }
    if (method === 'DELETE') {
      this.#uploads.delete(id);
      return { status: 204, headers: {}, body: Buffer.alloc(0) };
    }
    const named = [...body.toString('utf8').matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map((match) =>
      Number(match[1]),
    );
    const tags = [...body.toString('utf8').matchAll(/<ETag>([^<]+)<\/ETag>/g)].map((match) =>
      match[1]?.replaceAll('&quot;', '"'),
    );
    const bytes = named.map((number) => parts.get(number));
    if (bytes.some((part, i) => part === undefined || part.etag !== tags[i])) return failure(400, 'InvalidPart');
    const whole = Buffer.concat(bytes.map((part) => (part as Stored).bytes));
    this.#objects.set(key, { bytes: whole, etag: etagOf(whole) });
    this.#uploads.delete(id);
    return xml(
      `<CompleteMultipartUploadResult><Key>${key}</Key><ETag>${etagOf(whole)}</ETag></CompleteMultipartUploadResult>`,
    );
  }

  /** Signature Version 4, in the header or in the url; null: it is good. */
  #refusal(request: IncomingMessage, url: URL, body: Buffer): string | null {
    const inUrl = url.searchParams.get('X-Amz-Signature');
    const header = request.headers.authorization ?? '';
    const field = (name: string): string => new RegExp(`${name}=([^, ]+)`).exec(header)?.[1] ?? '';
    const credential = inUrl === null ? field('Credential') : (url.searchParams.get('X-Amz-Credential') ?? '');
    const signedHeaders = inUrl === null ? field('SignedHeaders') : (url.searchParams.get('X-Amz-SignedHeaders') ?? '');
    const [keyId, date = '', region = '', service = ''] = credential.split('/');
    if (this.region !== null && region !== this.region) return 'AuthorizationHeaderMalformed';
    if (keyId !== this.credentials.accessKeyId) return keyId === '' ? 'AccessDenied' : 'InvalidAccessKeyId';
    const at = inUrl === null ? String(request.headers['x-amz-date']) : (url.searchParams.get('X-Amz-Date') ?? '');
    const content = inUrl === null ? String(request.headers['x-amz-content-sha256']) : 'UNSIGNED-PAYLOAD';
    if (/^[0-9a-f]{64}$/.test(content) && content !== createHash('sha256').update(body).digest('hex'))
      return 'BadDigest';
    const query = [...url.searchParams]
      .filter(([name]) => name !== 'X-Amz-Signature')
      .map(([name, value]) => [escaped(name), escaped(value)].join('='))
      .sort()
      .join('&');
    const headers = signedHeaders.split(';').map((name) => `${name}:${String(request.headers[name] ?? '').trim()}\n`);
    const path = url.pathname
      .split('/')
      .map((name) => escaped(decodeURIComponent(name)))
      .join('/');
    const canonical = [request.method, path, query, headers.join(''), signedHeaders, content].join('\n');
    const scope = [date, region, service, 'aws4_request'].join('/');
    const text = ['AWS4-HMAC-SHA256', at, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
    const secret = `AWS4${this.credentials.secretAccessKey}`;
    const key = [date, region, service, 'aws4_request'].reduce<Buffer | string>((k, part) => hmac(k, part), secret);
    const expected = hmac(key, text).toString('hex');
    return expected === (inUrl ?? field('Signature')) ? null : 'SignatureDoesNotMatch';
  }
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

function rangeOf({ bytes, etag }: Stored, range: string | undefined): Answer {
  const parts = /^bytes=(\d+)-(\d*)$/.exec(range ?? '');
  if (parts === null) return { status: 200, headers: { etag }, body: bytes };
  const [start, end] = [Number(parts[1]), parts[2] ? Number(parts[2]) + 1 : bytes.length];
  if (start >= bytes.length) return failure(416, 'InvalidRange');
  const body = bytes.subarray(start, end);
  return {
    status: 206,
    headers: { etag, 'content-range': `bytes ${start}-${start + body.length - 1}/${bytes.length}` },
    body,
  };
}

function xml(text: string): Answer {
  return {
    status: 200,
    headers: { 'content-type': 'application/xml' },
    body: Buffer.from(`<?xml version="1.0"?>${text}`),
  };
}

function failure(status: number, code: string): Answer {
  return { ...xml(`<Error><Code>${code}</Code><Message>${code}</Message></Error>`), status };
}

function sendError(response: ServerResponse, status: number, code: string): void {
  const { headers, body } = failure(status, code);
  response.writeHead(status, headers).end(body);
}

function etagOf(bytes: Buffer): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}

function escaped(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
