import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HoldfastError, isHoldfastError } from '../../src/common/errors.js';
import { decodeError, encodeError, encodeUserError, maxErrorBytes } from '../../src/wire/errors.js';
import { fromGrpcError, toGrpcError } from '../../src/wire/grpc/grpc-errors.js';

describe('errors on the wire', () => {
  it('arrive as they were: code, message, outcome, retryable, details and cause', () => {
    const error = new HoldfastError('PendingLimitExceeded', 'too many', {
      outcome: 'unknown',
      retryable: true,
      details: { limit: 100, pending: 100, since: new Date(4) },
      cause: new RangeError('why'),
    });
    const copy = decodeError(encodeError(error));
    expect(copy).toMatchObject({
      code: 'PendingLimitExceeded',
      message: 'too many',
      outcome: 'unknown',
      retryable: true,
    });
    expect(copy.details).toEqual({ limit: 100, pending: 100, since: new Date(4) });
    expect(copy.cause).toMatchObject({ name: 'RangeError', message: 'why' });
    expect(isHoldfastError(copy, 'PendingLimitExceeded')).toBe(true);
  });

  it('are Internal, without stack and fields, when they are not ours', () => {
    const copy = decodeError(encodeError(Object.assign(new TypeError('redis://secret'), { password: 'x' })));
    expect(copy).toMatchObject({
      code: 'Internal',
      message: 'TypeError: redis://secret',
      outcome: 'unknown',
      details: {},
    });
    expect(copy.cause).toBeUndefined();
    expect(decodeError(encodeError('just text'))).toMatchObject({ code: 'Internal', message: 'just text' });
  });

  it('keep what the user threw: name, message, stack, fields and the causes behind it', () => {
    class QuotaError extends Error {
      override name = 'QuotaError';
      constructor(readonly limit: number) {
        super('over quota', { cause: new Error('billing', { cause: 'card expired' }) });
      }
    }
    const thrown = Object.assign(new QuotaError(5), { retry: () => 1, request: { id: 'r1' } });
    const copy = decodeError(encodeUserError(thrown));
    expect(copy).toMatchObject({
      code: 'UserError',
      outcome: 'ran',
      retryable: false,
      message: 'QuotaError: over quota',
    });
    const cause = copy.cause as Error & Record<string, unknown>;
    expect(cause).toBeInstanceOf(Error);
    expect([cause.name, cause.message, cause.stack, cause['limit']]).toEqual([
      'QuotaError',
      'over quota',
      thrown.stack,
      5,
    ]);
    expect(cause['request']).toEqual({ id: 'r1' });
    expect('retry' in cause).toBe(false);
    expect((cause.cause as Error).message).toBe('billing');
    expect((cause.cause as Error).cause).toBe('card expired');
  });

  it.each([
    ['text', 'text'],
    [undefined, undefined],
    [null, null],
    [{ status: 404 }, { status: 404 }],
    [() => 1, expect.stringContaining('function')],
    [Symbol('s'), 'Symbol(s)'],
    [new URL('http://a/'), '[URL]'],
  ])('keep what is thrown without being an error, or describe it: %o', (thrown, expected) => {
    const copy = decodeError(encodeUserError(thrown));
    expect([copy.code, copy.cause]).toEqual(['UserError', expected]);
  });

  it('keep a HoldfastError that the user let through', () => {
    const copy = decodeError(encodeUserError(new HoldfastError('InstanceLost', 'gone')));
    expect(isHoldfastError(copy.cause, 'InstanceLost')).toBe(true);
  });

  it('keep their cause and its short fields, however long its message or its other fields are', () => {
    const status = { code: 'E_TEAPOT', status: 418 };
    for (const thrown of [
      Object.assign(new RangeError('x'.repeat(maxErrorBytes)), status),
      Object.assign(new RangeError('short'), status, { body: 'x'.repeat(maxErrorBytes) }),
    ]) {
      const bytes = encodeUserError(thrown);
      expect(bytes.length).toBeLessThanOrEqual(maxErrorBytes);
      const { code, cause } = decodeError(bytes);
      expect(code).toBe('UserError');
      expect(cause).toMatchObject({ name: 'RangeError', ...status });
      expect(thrown.message.startsWith((cause as Error).message)).toBe(true);
      expect((cause as Error).message).not.toBe('');
    }
  });

  it('keep their cause where its fields are many, and of characters that take three bytes', () => {
    const fields = Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`field${at}`, '漢'.repeat(1_000)]));
    const cause = Object.assign(new Error('漢'.repeat(2_000)), { code: 'E_MINE', ...fields });
    const bytes = encodeUserError(cause);
    expect(bytes.length).toBeLessThanOrEqual(maxErrorBytes);
    expect(decodeError(bytes).cause).toMatchObject({ code: 'E_MINE', field0: '漢'.repeat(1_000) });
  });

  it('end a chain of causes that is too long or never ends', () => {
    const endless = new Error('endless');
    endless.cause = endless;
    expect(((decodeError(encodeUserError(endless)).cause as Error).cause as Error).message).toBe('endless');
    let deep: Error = new Error('0');
    for (let i = 1; i < 50; i += 1) deep = new Error(`${i}`, { cause: deep });
    let length = 0;
    for (let at: unknown = decodeError(encodeUserError(deep)).cause; at instanceof Error; at = at.cause) length += 1;
    expect(length).toBe(9);
  });

  it('fit into one frame, whatever is in them', () => {
    const huge = Object.assign(new Error('m'.repeat(500_000)), { body: 'b'.repeat(500_000) });
    for (const bytes of [
      encodeUserError(huge),
      encodeUserError('t'.repeat(500_000)),
      encodeError(new HoldfastError('NotFound', 'n'.repeat(500_000), { details: { a: 'a'.repeat(500_000) } })),
    ]) {
      expect(bytes.length).toBeLessThanOrEqual(maxErrorBytes);
      expect(['UserError', 'NotFound']).toContain(decodeError(bytes).code);
    }
    const small = decodeError(encodeUserError(Object.assign(new Error('m'), { body: 'b'.repeat(500_000) })));
    expect(small.cause).toMatchObject({ message: 'm' });
  });

  it('survive getters that throw', () => {
    const nasty = new Error('x');
    Object.defineProperty(nasty, 'message', {
      get: () => {
        throw new Error('no');
      },
    });
    Object.defineProperty(nasty, 'field', {
      enumerable: true,
      get: () => {
        throw new Error('no');
      },
    });
    expect(decodeError(encodeUserError(nasty)).code).toBe('UserError');
  });

  it('are Internal, outcome unknown, when their bytes are none', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => decodeError(bytes) instanceof HoldfastError));
    expect(decodeError(new Uint8Array(0))).toMatchObject({ code: 'Internal', outcome: 'unknown' });
  });

  it('travel in the trailers of gRPC, shortened where they must be', () => {
    const error = new HoldfastError('StoreQuarantined', 'wait\n a moment…', { details: { untilMs: 5 } });
    expect(fromGrpcError(toGrpcError(error), 'r:1')).toMatchObject({
      code: 'StoreQuarantined',
      retryable: true,
      details: { untilMs: 5 },
    });
    const long = toGrpcError(new HoldfastError('NotFound', 'x'.repeat(100_000)));
    expect(JSON.stringify(long.metadata.toJSON()).length).toBeLessThan(20_000);
    expect(fromGrpcError(long, 'r:1')).toMatchObject({ code: 'NotFound', message: 'x'.repeat(1_024) });
  });

  it.each([
    ['connect ECONNREFUSED 127.0.0.1:1', 'connect ECONNREFUSED 127.0.0.1:1'],
    ['Failed to connect (2026-01-01T00:00:00.000Z)', 'it breaks off: does it want TLS, or a certificate?'],
    ['80BC:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../record.c:350:\n', 'it speaks no TLS'],
    [
      '80BC:error:0A00045C:SSL routines:read:tlsv13 alert certificate required:rec.c:1',
      'TLS: tlsv13 alert certificate required',
    ],
  ])('say why an endpoint cannot be reached, for %s', (said, why) => {
    const details = `No connection established. Last error: Error: ${said}. Resolution note: `;
    const error = fromGrpcError({ code: 14, details }, 'r:1');
    expect(error).toMatchObject({ code: 'Unavailable', outcome: 'not-run', message: `r:1 cannot be reached: ${why}` });
  });
});
