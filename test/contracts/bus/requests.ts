import { expect, test } from 'vitest';
import type { BusContext } from '../bus-contract.js';
import { bytes, fresh, heardBy, listen, maxPayloadBytes, patient, responder, text } from './listening.js';

export function requestTests({ connect, under }: BusContext): void {
  test('many requests at once each get their own answer', async () => {
    const [asker, answerer] = [await connect(), await connect()];
    const subject = await responder(answerer);
    await heardBy(asker, subject);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => asker.request(subject, bytes(`n${i}`), patient)),
    );
    expect(answers.map((payload) => text({ payload }))).toEqual(Array.from({ length: 100 }, (_, i) => `n${i}`));
  });

  test('of several answers the first one counts', async () => {
    const bus = await connect();
    const subject = fresh();
    await listen(bus, subject, (message) => {
      message.respond(bytes('first'));
      message.respond(bytes('second'));
    });
    expect(text({ payload: await bus.request(subject, bytes(''), patient) })).toBe('first');
    expect(text({ payload: await bus.request(await responder(bus), bytes('next'), patient) })).toBe('next');
  });

  test('an empty answer is an answer', async () => {
    const bus = await connect();
    const subject = fresh();
    await listen(bus, subject, (message) => message.respond(new Uint8Array()));
    expect(await bus.request(subject, bytes('?'), patient)).toHaveLength(0);
  });

  test('a request that nobody listens to fails at once, not run', async () => {
    const bus = await connect();
    await expect(bus.request(fresh(), bytes(''), { timeoutMs: 60_000 })).rejects.toMatchObject({
      code: 'Unavailable',
      outcome: 'not-run',
      retryable: true,
    });
  });

  test('a request that is heard and not answered ends at its deadline, outcome unknown', async () => {
    const bus = await connect();
    const subject = fresh();
    await listen(bus, subject, () => undefined);
    await expect(bus.request(subject, bytes(''), { timeoutMs: 30 })).rejects.toMatchObject({
      code: 'Unavailable',
      outcome: 'unknown',
    });
  });

  test('a cancelled request ends at once, and one that was cancelled before is never sent', async () => {
    const bus = await connect();
    const subject = fresh();
    const controller = new AbortController();
    const heard: string[] = [];
    await listen(bus, subject, (message) => {
      heard.push(text(message));
      controller.abort(new Error('enough'));
    });
    const options = { timeoutMs: 60_000, signal: controller.signal };
    await expect(bus.request(subject, bytes('one'), options)).rejects.toMatchObject({
      code: 'Cancelled',
      outcome: 'unknown',
    });
    await expect(bus.request(subject, bytes('two'), options)).rejects.toMatchObject({
      code: 'Cancelled',
      outcome: 'not-run',
    });
    await bus.request(await responder(bus), bytes(''), patient);
    expect(heard).toEqual(['one']);
  });

  test('an answer over the limit is refused to the one who gives it', async () => {
    const bus = await connect();
    const subject = fresh();
    await listen(bus, subject, (message) => message.respond(new Uint8Array(maxPayloadBytes + 1)));
    await expect(bus.request(subject, bytes(''), { timeoutMs: 50 })).rejects.toMatchObject({ outcome: 'unknown' });
    expect(under().errors).toContainEqual(expect.objectContaining({ code: 'PayloadTooLarge' }));
  });
}
