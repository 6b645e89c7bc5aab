import { setTimeout as delay } from 'node:timers/promises';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { connect } from 'nats';
import { FrameBatches, readBatch } from '../frame-batches.js';
import { serveGrpc } from '../grpc-service.js';
import { checkSubject, nothing } from './path-frames.js';
import { PathPins } from './path-pins.js';

/** In which clients have brought their names, as with the product. */
const checkAfterMs = 50;

/** One script and one message for the names of a message; a moment later their worker is asked for them, for all together. */
export async function servePathRouter([redisUrl = '', natsUrl = '']: readonly string[]): Promise<number> {
  const pins = await PathPins.open(redisUrl);
  const bus = await connect({ servers: natsUrl });
  let told: string[] = [];
  const check = async (): Promise<void> => {
    await delay(checkAfterMs);
    const names = told;
    told = [];
    await bus.request(checkSubject, names.join(' '));
  };
  return serveGrpc('stream', (stream: ServerDuplexStream<Buffer, Buffer>) => {
    const answers = new FrameBatches((batch) => void stream.write(batch));
    const place = async (batch: Buffer): Promise<void> => {
      const asked: { readonly ref: number; readonly name: string }[] = [];
      readBatch(batch, (ref, body) => asked.push({ ref, name: body.toString() }));
      const names = asked.map(({ name }) => name);
      await pins.change(names, '', 'placing');
      for (const { ref } of asked) answers.write(ref, nothing);
      answers.flushNow();
      told.push(...names);
      if (told.length === names.length) void check();
    };
    stream.on('data', (batch: Buffer) => void place(batch));
    stream.on('end', () => stream.end());
    stream.on('error', () => undefined); // the load generator ended
  });
}
