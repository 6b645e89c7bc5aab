import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isHoldfastError } from '../../src/common/errors.js';
import type { BootId, InstanceKey } from '../../src/common/ids.js';
import type { SigningKey } from '../../src/common/ports/store.js';
import { mintCapability, verifyCapability } from '../../src/wire/capability.js';
import { mintGrant, verifyGrant } from '../../src/wire/grant.js';
import { type ClassInstanceHandle, parseHandle, signHandle, verifyHandle } from '../../src/wire/handle.js';
import { sign, verify } from '../../src/wire/signature.js';
import { createToken, mintWorkerToken, parseToken, secretMatches, verifyWorkerToken } from '../../src/wire/token.js';

const newKey = (id: string): SigningKey => ({ id, secret: randomBytes(32), createdAtMs: 0 });
const old = newKey('01OLD');
const current = newKey('01NEW');
const keys = [current, old];

const code = (expected: string) => expect.objectContaining({ code: expected });

describe('a capability', () => {
  const claims = {
    account: 'main',
    instanceKey: 'abc' as InstanceKey,
    generation: 1_763_000_000_000_000,
    epoch: 1_763_000_000_000_001,
    role: 'call',
    expiresAtMs: 1_000,
    pinHash: null,
  } as const;

  it('holds for what it was minted for, by a current and by an older key', () => {
    for (const key of keys) expect(verifyCapability(keys, mintCapability(key, claims), 999)).toEqual(claims);
  });

  it('ends at its time, and with its key', () => {
    const text = mintCapability(old, claims);
    expect(() => verifyCapability(keys, text, 1_000)).toThrow(/expired/);
    expect(() => verifyCapability([current], text, 1)).toThrow(code('PermissionDenied'));
    expect(() => verifyCapability([{ ...current, id: old.id }], text, 1)).toThrow(code('PermissionDenied'));
  });

  it('is refused when a character is changed, or it is cut, or anything else', () => {
    const text = mintCapability(current, claims);
    const refused = (altered: string) => {
      try {
        verifyCapability(keys, altered, 1);
        return false;
      } catch (error) {
        return isHoldfastError(error, 'PermissionDenied');
      }
    };
    for (let i = 0; i < text.length; i += 1) {
      expect(refused(text.slice(0, i))).toBe(true);
      expect(refused(text.slice(0, i) + (text[i] === 'A' ? 'B' : 'A') + text.slice(i + 1))).toBe(true);
    }
    fc.assert(fc.property(fc.string(), refused));
    expect(refused(`${text}${'x'.repeat(5_000)}`)).toBe(true);
  });
});

describe('a grant', () => {
  const grant = {
    account: 'main',
    app: 'chat',
    className: 'Room',
    deployment: 3,
    bootId: 'boot' as BootId,
    role: 'call',
    expiresAtMs: 1_000,
  } as const;

  it('holds until its time for what it was minted for, and for nothing else', () => {
    for (const key of keys) expect(verifyGrant(keys, mintGrant(key, grant), 999)).toEqual(grant);
    const text = mintGrant(current, grant);
    expect(() => verifyGrant(keys, text, 1_000)).toThrow(/expired/);
    expect(() => verifyGrant([old], text, 1)).toThrow(code('PermissionDenied'));
    expect(() => verifyCapability(keys, text, 1)).toThrow(code('PermissionDenied'));
    for (let i = 0; i < text.length; i += 1) {
      const altered = text.slice(0, i) + (text[i] === 'A' ? 'B' : 'A') + text.slice(i + 1);
      for (const each of [altered, text.slice(0, i)])
        expect(() => verifyGrant(keys, each, 1)).toThrow(code('PermissionDenied'));
    }
  });
});

describe('a handle', () => {
  const unsigned = {
    v: 1,
    kind: 'class',
    account: 'main',
    app: 'chat',
    name: 'Room',
    id: 'lobby',
    generation: 7,
  } as const;
  const handle = signHandle(current, unsigned);

  it('verifies after it was stored as its object or as its JSON', () => {
    expect(handle).toMatchObject(unsigned);
    for (const stored of [handle, JSON.stringify(handle), JSON.stringify(handle, null, 2)]) {
      expect(() => verifyHandle(keys, parseHandle(stored), 'main')).not.toThrow();
    }
    expect(() => verifyHandle(keys, signHandle(old, unsigned))).not.toThrow();
  });

  it('is refused as PermissionDenied when any field is forged, or it is of another account', () => {
    const forgeries: Partial<ClassInstanceHandle>[] = [
      { kind: 'sandbox' },
      { account: 'other' },
      { app: 'chat2' },
      { name: 'Rooms' },
      { id: 'lobby2' },
      { generation: 8 },
      { app: 'cha', name: 'tRoom' },
      { signature: handle.signature.slice(0, -1) },
      { signature: handle.signature.slice(0, -2) + (handle.signature.endsWith('AA') ? 'BA' : 'AA') },
      { signature: 'x' },
    ];
    for (const forged of forgeries) {
      expect(() => verifyHandle(keys, parseHandle({ ...handle, ...forged }))).toThrow(code('PermissionDenied'));
    }
    expect(() => verifyHandle(keys, handle, 'other')).toThrow(code('PermissionDenied'));
    expect(() => verifyHandle([old], handle)).toThrow(code('PermissionDenied'));
  });

  it('is refused as PermissionDenied when it was cut off', () => {
    const text = JSON.stringify(handle);
    for (let end = 10; end < text.length; end += 1)
      expect(() => parseHandle(text.slice(0, end))).toThrow(code('PermissionDenied'));
  });

  it('is refused as InvalidArgument when it is none', () => {
    const wrong: unknown[] = [
      'lobby',
      '',
      '[]',
      'null',
      '{}',
      '{"v":2}',
      7,
      null,
      undefined,
      [],
      () => 1,
      { ...handle, v: 2 },
      { ...handle, kind: 'x' },
      { ...handle, id: '' },
      { ...handle, id: 5 },
      { ...handle, generation: 1.5 },
      { ...handle, generation: '7' },
      { ...handle, signature: undefined },
      { ...handle, app: 'x'.repeat(2_000) },
      JSON.stringify({ ...handle, x: 'x'.repeat(10_000) }),
    ];
    for (const input of wrong) expect(() => parseHandle(input as string)).toThrow(code('InvalidArgument'));
  });
});

describe('a signature', () => {
  it('holds for its purpose and its division into parts alone', () => {
    const signature = sign(current, 'handle', ['ab', 'c']);
    expect(verify(keys, 'handle', { parts: ['ab', 'c'], signature })).toBe(true);
    expect(verify(keys, 'capability', { parts: ['ab', 'c'], signature })).toBe(false);
    expect(verify(keys, 'handle', { parts: ['a', 'bc'], signature })).toBe(false);
    expect(verify(keys, 'handle', { parts: ['abc'], signature })).toBe(false);
  });
});

describe('a token', () => {
  const random = { next: () => 0.5, bytes: (count: number) => randomBytes(count) };

  it('of a client names its account and record, which knows its secret only as a hash', () => {
    const { text, record } = createToken(random, { account: 'main', role: 'call', label: 'ci', createdAtMs: 5 });
    const token = parseToken(text);
    if (token.kind !== 'client') throw new Error('not a client token');
    expect([token.account, token.id]).toEqual(['main', record.id]);
    expect(secretMatches(record, token.secret)).toBe(true);
    expect(secretMatches(record, `${token.secret}x`)).toBe(false);
    expect(JSON.stringify(record)).not.toContain(token.secret);
    expect(() => createToken(random, { account: 'a.b', role: 'call', label: '', createdAtMs: 5 })).toThrow(
      code('InvalidArgument'),
    );
  });

  it('of a client has an id that no command line takes for an option, whatever its bytes', () => {
    const same = (byte: number) => ({ next: () => 0.5, bytes: (count: number) => new Uint8Array(count).fill(byte) });
    for (let byte = 0; byte < 256; byte++) {
      const { record } = createToken(same(byte), { account: 'main', role: 'call', label: '', createdAtMs: 5 });
      expect(record.id).toMatch(/^[a-z0-9]{16}$/);
    }
  });

  it('of a worker holds until its time, for its account and role alone', () => {
    const text = mintWorkerToken(current, { account: 'main', role: 'call', expiresAtMs: 100 });
    const verifyText = (altered: string, nowMs = 99) => {
      const token = parseToken(altered);
      if (token.kind !== 'worker') throw new Error('not a worker token');
      verifyWorkerToken(keys, token, nowMs);
    };
    expect(() => verifyText(text)).not.toThrow();
    expect(() => verifyText(text, 100)).toThrow(code('Unauthenticated'));
    expect(() => verifyText(text.replace('.main.', '.other.'))).toThrow(code('Unauthenticated'));
    expect(() => verifyText(text.replace('.call.', '.deploy.'))).toThrow(code('Unauthenticated'));
    expect(() => verifyText(text.replace('.100.', '.999.'))).toThrow(code('Unauthenticated'));
  });

  it('is refused as Unauthenticated when it is none', () => {
    const refused = (text: string) => {
      try {
        parseToken(text);
        return false;
      } catch (error) {
        return isHoldfastError(error, 'Unauthenticated');
      }
    };
    for (const text of [
      '',
      'hft',
      'hft.a.b',
      'hft.a.b.c.d',
      'hfw.a.admin.k.1.m',
      'hfw.a.call.k.x.m',
      'hft..b.c',
      'hft.a/b.c.d',
      `hft.a.b.${'c'.repeat(2_000)}`,
    ]) {
      expect(refused(text)).toBe(true);
    }
    fc.assert(fc.property(fc.string(), refused));
  });
});
