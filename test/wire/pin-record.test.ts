import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BootId, WorkerId } from '../../src/common/ids.js';
import type { Pin, PinState } from '../../src/common/pin.js';
import { encodeArgs, hashArgs } from '../../src/wire/codec/codec.js';
import { decodePin, encodePin } from '../../src/wire/pin-record.js';

const states: readonly PinState[] = ['idle', 'placing', 'active', 'draining', 'closing', 'closed', 'lost'];

const text = fc.string({ unit: 'binary', maxLength: 20 });
const state = fc.constantFrom(...states);
const timeMs = fc.integer({ min: 0, max: 4_102_444_800_000 });
const epoch = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const pins: fc.Arbitrary<Pin> = fc.record({
  identity: fc.record({ account: text, app: text, className: text, id: fc.string({ unit: 'binary', maxLength: 100 }) }),
  generation: epoch,
  epoch,
  state,
  workerId: fc.option(text) as fc.Arbitrary<WorkerId | null>,
  bootId: fc.option(text) as fc.Arbitrary<BootId | null>,
  address: fc.option(text),
  deployment: fc.nat(),
  args: fc.uint8Array({ maxLength: 200 }),
  kind: fc.constantFrom('class' as const, 'sandbox' as const),
  argsHash: text,
  tags: fc.array(text, { maxLength: 3 }),
  onLoss: fc.constantFrom('fail' as const, 'recreate' as const),
  opId: fc.stringMatching(/^[!-~]{1,128}$/),
  createdAtMs: timeMs,
  restarts: fc.nat(),
  restarted: fc.boolean(),
  isBrought: fc.boolean(),
  placement: fc.option(
    fc.record({
      chosen: text,
      score: fc.double({ noNaN: true, noDefaultInfinity: true }).map((score) => score + 0),
      rejected: fc.array(fc.record({ workerId: text, why: text }), { maxLength: 3 }),
    }),
  ),
  transitions: fc.array(
    fc.record({ atMs: timeMs, from: fc.constantFrom('none' as const, ...states), to: state, why: text }),
    { maxLength: 10 },
  ),
});

const typical: Pin = {
  identity: { account: 'acme', app: 'chat', className: 'Room', id: 'room-2f7c1a90' },
  generation: 1_763_780_000_123_456,
  epoch: 1_763_780_000_123_456,
  state: 'active',
  workerId: 'worker-eu-1' as WorkerId,
  bootId: '01KAJ8Z6H3N4Q5R6S7T8V9W0XY' as BootId,
  address: '10.20.30.40:7443',
  deployment: 17,
  args: new Uint8Array(24).fill(7),
  kind: 'class',
  tags: [],
  argsHash: 'q83vEjRWeJCrze8SNFZ4kA',
  onLoss: 'recreate',
  opId: '01KAJ8Z6H3N4Q5R6S7T8V9W0XZ',
  createdAtMs: 1_763_780_000_123,
  restarts: 0,
  restarted: false,
  isBrought: false,
  placement: { chosen: 'worker-eu-1', score: 0.75, rejected: [] },
  transitions: [
    { atMs: 1_763_780_000_123, from: 'none', to: 'placing', why: 'first call' },
    { atMs: 1_763_780_000_125, from: 'placing', to: 'active', why: 'placed' },
  ],
};

describe('a pin record', () => {
  test('decodes to the pin that it was made of, as bytes and as text', () =>
    fc.assert(
      fc.property(pins, (pin) => {
        const record = encodePin(pin);
        expect(decodePin(record)).toEqual(pin);
        expect(decodePin(record.toString('utf8'))).toEqual(pin);
      }),
    ));

  test('begins with a header line and holds a typical pin in less than 400 bytes', () => {
    const record = encodePin(typical);
    expect(record.toString('utf8').split('\n')[0]).toBe(
      '1763780000123456 1763780000123456 active 01KAJ8Z6H3N4Q5R6S7T8V9W0XZ',
    );
    expect(record.byteLength).toBeLessThan(400);
  });

  test('leaves out what is empty', () => {
    const bare: Pin = {
      ...typical,
      workerId: null,
      bootId: null,
      address: null,
      deployment: 0,
      args: new Uint8Array(),
    };
    const body = JSON.parse(
      encodePin({ ...bare, argsHash: '', placement: null, transitions: [] })
        .toString('utf8')
        .split('\n')[1] ?? '',
    );
    expect(Object.keys(body).sort()).toEqual(['i', 't']);
  });

  test('says in a few bytes that there are no arguments and that the chosen worker has it', () => {
    const args = Uint8Array.from(encodeArgs([]));
    const pin = { ...typical, args, argsHash: hashArgs(args) };
    const body = encodePin(pin).toString('utf8').split('\n')[1] ?? '';
    expect(JSON.parse(body)).toMatchObject({ g: 0, n: [0, 0.75, []] });
    expect(body).not.toContain(pin.argsHash);
    expect(decodePin(encodePin(pin))).toEqual(pin);
    const placement = { chosen: 'another', score: 0, rejected: [], kept: ['volume set'] };
    const elsewhere = { ...pin, argsHash: 'other', placement };
    expect(decodePin(encodePin(elsewhere))).toEqual(elsewhere);
  });

  test('is never made with an opId that would break the header', () => {
    for (const opId of ['', 'two words', 'line\nbreak', 'x'.repeat(129)])
      expect(() => encodePin({ ...typical, opId })).toThrow(expect.objectContaining({ code: 'InvalidArgument' }));
  });

  test('that is cut, foreign or of an unknown state is refused', () => {
    const record = encodePin(typical).toString('utf8');
    const wrong = [
      '',
      '{}',
      'x',
      record.slice(0, 60),
      record.slice(0, -1),
      record.replace(' active ', ' none '),
      record.replace(' active ', ' constructor '),
      '1 2 idle op\n[]',
      '1 2 idle op\nnull',
      '1 2 idle op\n{"i":["a"],"t":1}',
    ];
    for (const text of wrong)
      expect(() => decodePin(text), text).toThrow(expect.objectContaining({ code: 'Internal' }));
  });
});
