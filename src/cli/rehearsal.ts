import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { ContainerOptions } from '../runtime/container/run-container.js';
import { runContainer } from '../runtime/container/run-container.js';
import { encodeArgs } from '../wire/codec/codec.js';
import { encodeBody } from '../wire/frames/frame-bodies.js';
import { readFrames } from '../wire/frames/frame-reader.js';
import { FrameStream } from '../wire/frames/frame-stream.js';
import { type ActivateBody, FrameKind, type LoadBody } from '../wire/frames/frames.js';
import { createChannelPair } from '../wire/link/channel-pair.js';

const bundlePath = fileURLToPath(new URL('./rehearsal-bundle.js', import.meta.url));

const activateBody: ActivateBody = { id: 'rehearsal', epoch: 1, restarted: false, args: encodeArgs([]) };

/**
 * Once through the life of an instance, with this process as its own worker. Node's loader is set up and the code compiled
 * by that, while nobody waits; the first real instance finds them so.
 */
export async function rehearse(options: Omit<ContainerOptions, 'channel' | 'onTransport'>): Promise<void> {
  const { left, right } = createChannelPair();
  const container = runContainer({ ...options, channel: right, onTransport: () => undefined });
  const stream = new FrameStream(left);
  let answered = (): void => undefined;
  left.open({
    onMessage: (batch) => readFrames(batch, () => answered()),
    onDrain: () => stream.onDrain(),
    onClosed: () => stream.close(),
  });
  const ask = (write: () => void): Promise<void> =>
    new Promise((resolve) => {
      answered = resolve;
      write();
      stream.flushNow();
    });
  const load = await loadBody();
  await ask(() => stream.writer.frame(FrameKind.Load, 0, 0, encodeBody(load)));
  await ask(() => stream.writer.frame(FrameKind.Activate, 0, 1, encodeBody(activateBody)));
  const call = { ref: 1, slot: 1, flags: 0, remainingMs: 1_000, method: 'echo', meta: null };
  await ask(() => stream.writer.call({ ...call, payload: encodeArgs(['nothing']) }));
  left.close();
  await container.closed;
}

async function loadBody(): Promise<LoadBody> {
  const bundleSha256 = createHash('sha256')
    .update(await readFile(bundlePath))
    .digest('hex');
  const names = { containerId: 'rehearsal', account: 'rehearsal', app: 'rehearsal', deployment: 1 };
  return {
    ...names,
    bundlePath,
    bundleSha256,
    memoryMb: 0,
    timeoutMs: 0,
    env: {},
    className: 'Rehearsed',
    enterHooks: [],
    exitHooks: [],
    methods: ['echo'],
    hasAlarm: false,
    concurrentRequests: 1,
  };
}
