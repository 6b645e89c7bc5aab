import { LRUCache } from 'lru-cache';
import type { Clock } from '../common/clock.js';
import { HoldfastError } from '../common/errors.js';
import type { Channel, Transport } from '../common/ports/channel.js';
import { encodeError } from '../wire/errors.js';
import { readUnary } from '../wire/frames/frame-bodies.js';
import { FrameKind, type UnaryBody } from '../wire/frames/frames.js';
import { type ControlReply, ControlReplyBatch } from '../wire/gen/holdfast/v1/router.js';
import type { Container } from './hosting/container.js';
import { ContainerObjects, type ObjectAccess } from './objects/container-objects.js';

interface Tunnel {
  readonly channel: Channel;
  /** Sent since the channel said that it is slow. */
  waitingBytes: number;
}

/**
 * What a container may ask of the router by name. Deploying, tokens, sweeps and secrets are not for user code; urls of objects
 * are credentials, and its worker moves the objects.
 */
const allowedUnary = new Set([
  ...['Lookup', 'Inspect', 'ListInstances', 'ListWorkers', 'ListApps', 'GetSpawned', 'CancelSpawned'],
  ...['CreateVolume', 'FindVolume', 'ListVolumes', 'DeleteVolume', 'ExtendVolume', 'ListCommits'],
  ...['Hold', 'ReserveObjects', 'PublishCommit', 'FindObjects'],
  ...['MakeLive', 'ExtendLive', 'DeleteLive', 'ListLiveNames', 'ListLive', 'ReadLive', 'WriteLive', 'RemoveLive'],
]);
const secretMethods = new Set(['SetSecret', 'ListSecrets', 'DeleteSecret']);
/** Whom it asks on behalf of the container. */
export interface TunnelDeps {
  /** @throws Unavailable while no router has been heard of */
  readonly transport: () => Transport;
  readonly clock: Clock;
  readonly objects: ObjectAccess;
}

const maxTunnels = 1_024;
/** More than there are: of those that it has not been told of for longest the container would have to ask anew. */
const maxAddresses = 4_096;
const maxUnaryAtOnce = 256;
const longestUnaryMs = 120_000;
/** What may wait for a slow other side, in one tunnel or for the whole container: as of any link. */
const maxWaitingBytes = 67_108_864;

/**
 * Calls from inside one container to routers and workers (C12): the worker dials with its own credentials, scoped to the
 * account, and passes messages on as they are. A container that misuses it loses its own tunnels.
 *
 * I1. It dials where a router has told the container that an instance is, and nowhere else: user code has no other way to any
 *     address than the proxy of its network policy.
 */
export class Tunnels {
  readonly #container: Container;
  readonly #transport: () => Transport;
  readonly #clock: Clock;
  readonly #objects: ContainerObjects;
  readonly #open = new Map<number, Tunnel>();
  /** Of workers, as routers have said. */
  readonly #addresses = new LRUCache<string, true>({ max: maxAddresses });
  readonly #closed = new AbortController();
  #unary = 0;

  constructor(container: Container, deps: TunnelDeps) {
    this.#container = container;
    this.#transport = deps.transport;
    this.#clock = deps.clock;
    this.#objects = new ContainerObjects(deps.objects);
  }

  onFrame(kind: FrameKind, ref: number, body: Buffer): void {
    switch (kind) {
      case FrameKind.TunnelOpen:
        return this.#dial(ref, body.toString('utf8'));
      case FrameKind.TunnelData:
        return this.#toPeer(ref, Buffer.from(body));
      case FrameKind.TunnelClose:
        this.#open.get(ref)?.channel.close();
        return;
      case FrameKind.Unary:
        void this.#callRouter(ref, Buffer.from(body));
        return;
      default:
        throw new HoldfastError('InvalidArgument', `a container must not send frames of kind ${kind}`);
    }
  }

  close(): void {
    this.#closed.abort();
    for (const { channel } of this.#open.values()) channel.close();
    this.#open.clear();
    this.#objects.close();
  }

  #dial(ref: number, address: string): void {
    // It died with this in its socket: nobody would close the channel.
    if (this.#closed.signal.aborted) return;
    if (this.#open.has(ref) || this.#open.size >= maxTunnels) {
      return this.#refuse(
        ref,
        new HoldfastError('InvalidArgument', `tunnel ${ref} is open, or there are ${maxTunnels} already`),
      );
    }
    const isRouter = address === '';
    if (!isRouter && !this.#addresses.has(address)) return this.#refuse(ref, unknownAddress(address));
    try {
      const transport = this.#transport();
      const channel = isRouter ? transport.openRouter() : transport.openWorker(address);
      const tunnel: Tunnel = { channel, waitingBytes: 0 };
      this.#open.set(ref, tunnel);
      channel.open({
        onMessage: (message) => {
          if (isRouter) this.#learn(message);
          this.#toContainer(ref, message);
        },
        onDrain: () => {
          tunnel.waitingBytes = 0;
        },
        onClosed: (error) => {
          this.#open.delete(ref);
          this.#container.reply(FrameKind.TunnelClose, ref, error === null ? new Uint8Array(0) : encodeError(error));
        },
      });
    } catch (e) {
      this.#refuse(ref, e);
    }
  }

  /** I1. */
  #learn(message: Uint8Array): void {
    for (const { result } of repliesOf(message))
      if (result?.$case === 'pin') this.#addresses.set(result.value.address, true);
  }

  /** A channel says that it is slow and takes the bytes all the same: what it has taken since then is ours to bound. */
  #toPeer(ref: number, message: Buffer): void {
    const tunnel = this.#open.get(ref);
    if (tunnel === undefined) return;
    const flows = tunnel.channel.send(message);
    tunnel.waitingBytes = flows ? 0 : tunnel.waitingBytes + message.length;
    if (tunnel.waitingBytes > maxWaitingBytes) tunnel.channel.close(tooSlow('the other side', tunnel.waitingBytes));
  }

  /** Before its stream overflows, which would end the container. */
  #toContainer(ref: number, message: Uint8Array): void {
    const waiting = this.#container.bufferedBytes;
    if (waiting + message.length > maxWaitingBytes / 2)
      this.#open.get(ref)?.channel.close(tooSlow('the container', waiting));
    else this.#container.reply(FrameKind.TunnelData, ref, message);
  }

  #refuse(ref: number, error: unknown): void {
    this.#container.reply(FrameKind.TunnelClose, ref, encodeError(error));
  }

  async #callRouter(ref: number, body: Buffer): Promise<void> {
    const answer = await this.#unaryAnswer(body).then(
      (bytes) => Buffer.concat([Uint8Array.of(1), bytes]),
      (e: unknown) => Buffer.concat([Uint8Array.of(0), encodeError(e)]),
    );
    this.#container.reply(FrameKind.UnaryReply, ref, answer);
  }

  async #unaryAnswer(body: Buffer): Promise<Uint8Array> {
    const request = readUnary(body);
    if (this.#unary >= maxUnaryAtOnce) {
      throw new HoldfastError(
        'Unavailable',
        `the container has ${maxUnaryAtOnce} requests under way already; try again`,
      );
    }
    this.#unary++;
    try {
      return (await this.#movedObject(request)) ?? (await this.#askRouter(request));
    } finally {
      this.#unary--;
    }
  }

  /** Null: it is not about an object. */
  async #movedObject({ method, request, timeoutMs }: UnaryBody): Promise<Uint8Array | null> {
    const late = new AbortController();
    const moved = this.#objects.answer(method, request, AbortSignal.any([late.signal, this.#closed.signal]));
    if (moved === null) return null;
    const timer = this.#clock.after(Math.min(longestUnaryMs, timeoutMs), () => late.abort(notMoved(timeoutMs)));
    try {
      const bytes = await moved;
      const waiting = this.#container.bufferedBytes;
      if (waiting + bytes.length > maxWaitingBytes / 2) throw tooSlow('the container', waiting);
      return bytes;
    } finally {
      timer.cancel();
    }
  }

  async #askRouter({ method, request, timeoutMs }: UnaryBody): Promise<Uint8Array> {
    if (!allowedUnary.has(method)) throw notAllowed(method);
    const limits = { timeoutMs: Math.min(longestUnaryMs, timeoutMs), signal: this.#closed.signal };
    return await this.#transport().unary(method, request, limits);
  }
}

function repliesOf(message: Uint8Array): readonly ControlReply[] {
  try {
    return ControlReplyBatch.decode(message).replies;
  } catch {
    // Whom it is for cannot read it either, and says so.
    return [];
  }
}

function notAllowed(method: string): HoldfastError {
  const why = secretMethods.has(method)
    ? 'secrets are set, listed and deleted outside of containers; code reads those that its class names, as variables'
    : `'${method}' cannot be called from inside a container`;
  return new HoldfastError('PermissionDenied', why, { details: { method } });
}

function unknownAddress(address: string): HoldfastError {
  return new HoldfastError(
    'PermissionDenied',
    `no router has told this container of a worker at ${JSON.stringify(address.slice(0, 300))}`,
  );
}

function notMoved(timeoutMs: number): HoldfastError {
  return new HoldfastError('DeadlineExceeded', `an object of a volume did not move within ${timeoutMs} ms`, {
    outcome: 'unknown',
  });
}

function tooSlow(who: string, bytes: number): HoldfastError {
  return new HoldfastError('Unavailable', `${bytes} bytes wait for ${who}, which does not read`, {
    outcome: 'unknown',
  });
}
