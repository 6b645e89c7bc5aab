import { expect, test } from 'vitest';
import { isHoldfastError } from '../../../src/common/errors.js';
import type { BusContext } from '../bus-contract.js';
import { bytes, collect, fresh, heardBy, listen, patient, responder, silent, text, until } from './listening.js';

export function awayTests({ connect, under }: BusContext): void {
  test('while it is away requests fail at once and messages are dropped; then subscriptions go on', async () => {
    const [bus, other] = [await connect(), await connect()];
    const subject = fresh();
    const heard: string[] = [];
    await listen(bus, subject, (message) => {
      heard.push(text(message));
      if (text(message) === 'hang') return;
      message.respond(message.payload);
    });
    await heardBy(other, subject);
    expect(other.isConnected).toBe(true);
    const hanging = other.request(subject, bytes('hang'), { timeoutMs: 60_000 }).catch((e: unknown) => e);
    await until(() => heard.includes('hang'));

    await under().cut();
    expect(await hanging).toMatchObject({ code: 'Unavailable', outcome: 'unknown' });
    await until(() => !bus.isConnected && !other.isConnected);
    await expect(other.request(subject, bytes('x'), { timeoutMs: 60_000 })).rejects.toMatchObject({
      code: 'Unavailable',
      outcome: 'not-run',
    });
    for (let i = 0; i < 10; i++) other.publish(subject, bytes('dropped'));
    const whileAway = await listen(other, `${subject}.later`, (message) => message.respond(bytes('later')));

    await under().restore();
    await until(() => bus.isConnected && other.isConnected);
    await heardBy(other, subject);
    expect(heard).not.toContain('dropped');
    await heardBy(bus, `${subject}.later`);
    whileAway.unsubscribe();
  });

  test('closing sends what was published, ends its own subscriptions and no others', async () => {
    const [leaving, staying] = [await connect(), await connect()];
    const subject = fresh();
    const received = await collect(staying, subject, 3);
    await heardBy(leaving, await responder(staying));
    const gone = await responder(leaving);
    await heardBy(staying, gone);
    const hanging = leaving.request(await silent(leaving), bytes(''), { timeoutMs: 60_000 }).catch((e: unknown) => e);
    for (const payload of ['a', 'b', 'c']) leaving.publish(subject, bytes(payload));
    await leaving.close();
    await leaving.close();
    expect(await hanging).toMatchObject({ code: 'Unavailable' });
    expect((await received.all).map(text)).toEqual(['a', 'b', 'c']);
    expect(leaving.isConnected).toBe(false);
    leaving.publish(subject, bytes('late'));
    leaving.subscribe(subject, () => undefined).unsubscribe();
    await expect(leaving.request(gone, bytes(''), patient)).rejects.toMatchObject({
      code: 'Unavailable',
      outcome: 'not-run',
    });
    // A server may learn of the end a moment later: until then a request can still go to who has left.
    const brief = { timeoutMs: 250 };
    let refused: unknown;
    do {
      refused = await staying.request(gone, bytes(''), brief).catch((e: unknown) => e);
      expect(refused).toMatchObject({ code: 'Unavailable' });
    } while (isHoldfastError(refused) && refused.outcome === 'unknown');
    expect(refused).toMatchObject({ outcome: 'not-run' });
  });
}
