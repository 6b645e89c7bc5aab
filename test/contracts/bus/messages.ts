import { expect, test } from 'vitest';
import type { BusContext } from '../bus-contract.js';
import { bytes, collect, fresh, listen, maxPayloadBytes, patient, responder, text } from './listening.js';

export function messageTests({ connect, under }: BusContext): void {
  test('every subscriber of a subject gets its messages, in order and with all bytes', async () => {
    const [sender, one, two] = [await connect(), await connect(), await connect()];
    const subject = fresh();
    const received = await Promise.all([one, two, sender].map((bus) => collect(bus, subject, 51)));
    const payload = Uint8Array.from({ length: 256 }, (_, i) => i);
    for (let i = 0; i < 50; i++) sender.publish(subject, bytes(String(i)));
    sender.publish(subject, payload);
    for (const { all } of received) {
      const messages = await all;
      expect(messages.slice(0, 50).map(text)).toEqual(Array.from({ length: 50 }, (_, i) => String(i)));
      expect(Array.from(messages[50]?.payload ?? [])).toEqual(Array.from(payload));
    }
  });

  test('a star stands for one token and a final angle bracket for the rest', async () => {
    const bus = await connect();
    const root = fresh();
    const heard: string[] = [];
    for (const pattern of [`${root}.*`, `${root}.>`, `${root}.*.c`, `${root}.a.b`])
      await listen(bus, pattern, ({ subject }) => heard.push(`${pattern} ${subject}`.replaceAll(root, '')));
    const end = await collect(bus, `${root}-end`, 1);
    for (const subject of [root, `${root}.a`, `${root}.a.b`, `${root}.a.c`, `${root}.a.b.c`])
      bus.publish(subject, bytes(''));
    bus.publish(`${root}-end`, bytes(''));
    await end.all;
    expect(heard.sort()).toEqual(
      ['.* .a', '.> .a', '.> .a.b', '.> .a.c', '.> .a.b.c', '.*.c .a.c', '.a.b .a.b'].sort(),
    );
  });

  test('a message that changes after it was published arrives as it was', async () => {
    const [sender, receiver] = [await connect(), await connect()];
    const subject = fresh();
    const received = await collect(receiver, subject, 1);
    const payload = bytes('before');
    sender.publish(subject, payload);
    payload.fill(0);
    expect((await received.all).map(text)).toEqual(['before']);
  });

  test('an ended subscription hears nothing more', async () => {
    const bus = await connect();
    const subject = fresh();
    const heard: string[] = [];
    const subscription = await listen(bus, subject, (message) => heard.push(text(message)));
    const end = await collect(bus, subject, 2);
    bus.publish(subject, bytes('one'));
    await bus.request(await responder(bus), bytes(''), patient);
    subscription.unsubscribe();
    bus.publish(subject, bytes('two'));
    await end.all;
    expect(heard).toEqual(['one']);
  });

  test('a handler that throws is reported and hears the next message', async () => {
    const bus = await connect();
    const subject = fresh();
    const heard: string[] = [];
    await listen(bus, subject, (message) => {
      heard.push(text(message));
      throw new Error(`cannot ${text(message)}`);
    });
    const end = await collect(bus, subject, 2);
    bus.publish(subject, bytes('one'));
    bus.publish(subject, bytes('two'));
    await end.all;
    expect(heard).toEqual(['one', 'two']);
    expect(under().errors.map(String)).toEqual(expect.arrayContaining(['Error: cannot one', 'Error: cannot two']));
  });

  test('a payload over the limit is refused, one at the limit arrives', async () => {
    const bus = await connect();
    const subject = fresh();
    const received = await collect(bus, subject, 1);
    const tooLarge = new Uint8Array(maxPayloadBytes + 1);
    const refusal = { code: 'PayloadTooLarge', details: { bytes: maxPayloadBytes + 1, maxBytes: maxPayloadBytes } };
    expect(() => bus.publish(subject, tooLarge)).toThrow(expect.objectContaining(refusal));
    await expect(bus.request(subject, tooLarge, patient)).rejects.toMatchObject(refusal);
    bus.publish(subject, new Uint8Array(maxPayloadBytes));
    expect((await received.all)[0]?.payload.byteLength).toBe(maxPayloadBytes);
  });

  test('answering a message that asked for nothing does nothing', async () => {
    const bus = await connect();
    const subject = fresh();
    const received = await collect(bus, subject, 1);
    bus.publish(subject, bytes('x'));
    for (const message of await received.all) message.respond(bytes('y'));
    expect(text({ payload: await bus.request(await responder(bus), bytes('still'), patient) })).toBe('still');
  });
}
