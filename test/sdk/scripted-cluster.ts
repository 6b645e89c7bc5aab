import { systemClock, systemRandom } from '../../src/adapters/system/clock.js';
import type { Clock } from '../../src/common/clock.js';
import type { Channel } from '../../src/common/ports/channel.js';
import { registeredApps } from '../../src/sdk/classes/registry.js';
import { type Client, clientWith, coreOf } from '../../src/sdk/client.js';
import type { ClientCore } from '../../src/sdk/sessions/client-core.js';
import type { ClientTransport } from '../../src/sdk/sessions/client-transport.js';
import {
  ControlBatch,
  type ControlReply,
  ControlReplyBatch,
  type ControlRequest,
  Deployment,
  type Handle,
  LookupRequest,
} from '../../src/wire/gen/holdfast/v1/router.js';
import { type ChannelPair, createChannelPair } from '../../src/wire/link/channel-pair.js';
import { ScriptedWorker } from './scripted-worker.js';

type Op = NonNullable<ControlRequest['op']>;

/** Where the scripted router says that everything is. */
export interface Place {
  readonly worker: ScriptedWorker;
  readonly epoch: number;
}

/** One router and any workers in this process, over channel pairs, with the real link and frames. */
export class ScriptedCluster {
  readonly client: Client;
  readonly core: ClientCore;
  readonly workers = new Map<string, ScriptedWorker>();
  readonly ops: Op[] = [];
  readonly batches: number[] = [];
  place: Place;
  /** Null: by `place`. */
  onControl: ((request: ControlRequest) => ControlReply['result'] | null | 'silence') | null = null;
  onUnary: (method: string) => void = () => undefined;
  /** Its unary calls are never answered, nor heard of again. */
  isMute = false;
  unaryCalls: string[] = [];
  #routerChannels: ChannelPair[] = [];
  #channel: Channel | null = null;

  constructor(clock: Clock = systemClock) {
    this.place = { worker: this.worker('w1:1'), epoch: 10 };
    const transport: ClientTransport = {
      openRouter: () => this.#openRouter(),
      openWorker: (address) => {
        const worker = this.workers.get(address);
        if (worker === undefined) throw new Error(`no worker at ${address}`);
        return worker.connect();
      },
      unary: async (method, request) => (this.isMute ? await this.#mute(method) : this.#unary(method, request)),
      close: async () => undefined,
    };
    this.client = clientWith({ transport, endpoint: 'scripted:1', clock, random: systemRandom });
    this.core = coreOf(this.client);
  }

  worker(address: string): ScriptedWorker {
    const worker = this.workers.get(address) ?? new ScriptedWorker(address);
    this.workers.set(address, worker);
    return worker;
  }

  #mute(method: string): Promise<never> {
    this.unaryCalls.push(method);
    return new Promise(() => undefined);
  }

  /** Answers a request for which `onControl` was silent. */
  reply(reply: ControlReply): void {
    this.#channel?.send(ControlReplyBatch.encode({ replies: [reply] }).finish());
  }

  cutRouter(): void {
    const channels = this.#routerChannels;
    this.#routerChannels = [];
    for (const pair of channels) pair.cut();
  }

  #openRouter(): Channel {
    const pair = createChannelPair();
    this.#routerChannels.push(pair);
    this.serveRouter(pair.right);
    return pair.left;
  }

  /** Answers the control stream at the other end. */
  serveRouter(channel: Channel): void {
    this.#channel = channel;
    channel.open({
      onMessage: (message) => {
        const { requests } = ControlBatch.decode(message);
        this.batches.push(requests.length);
        const replies = requests.flatMap((request) => this.#answer(request));
        if (replies.length > 0) {
          channel.send(ControlReplyBatch.encode({ replies }).finish());
        }
      },
      onDrain: () => undefined,
      onClosed: () => undefined,
    });
  }

  #answer(request: ControlRequest): ControlReply[] {
    const { op, requestId } = request;
    if (op === undefined) return [];
    this.ops.push(op);
    const scripted = this.onControl?.(request) ?? null;
    if (scripted === 'silence' || op.$case === 'cancel') return [];
    return [{ requestId, result: scripted ?? this.#byPlace(op) }];
  }

  #byPlace(op: Op): ControlReply['result'] {
    if (op.$case === 'close') {
      return { $case: 'closed', value: { closed: true, alreadyClosed: false, exitHook: 'ran' } };
    }
    return { $case: 'pin', value: this.pin(op) };
  }

  pin(op: Op) {
    const handle = handleOf(op);
    return {
      handle,
      key: `key-${handle.id}`,
      epoch: this.place.epoch,
      address: this.place.worker.address,
      capability: 'cap',
      deployment: 1,
      pin: Buffer.alloc(0),
      grant: '',
    };
  }

  #unary(method: string, request: Uint8Array): Uint8Array {
    this.unaryCalls.push(method);
    this.onUnary(method);
    if (method !== 'Lookup') throw new Error(`nobody has scripted ${method}`);
    return this.lookUp(request);
  }

  lookUp(request: Uint8Array): Uint8Array {
    return Deployment.encode(this.deployment(LookupRequest.decode(request))).finish();
  }

  /** What this process has registered of the app, as if it were deployed. */
  deployment({ app, version }: LookupRequest): Deployment {
    const registered = registeredApps().find((each) => each.name === app);
    const classes = Object.fromEntries(
      (registered?.classes ?? []).map((each) => [each.name, { ...each.manifest, exportName: each.name }]),
    );
    const manifestJson = JSON.stringify({ app, tags: [], metadata: {}, classes });
    return { app, version: version || 1, bundleSha256: 'x', createdAtMs: 5, manifestJson };
  }
}

function handleOf(op: Op): Handle {
  const base = { v: 1, kind: 'class', account: 'a', generation: 10, signature: 's' };
  if (op.$case === 'attach' && op.value.handle !== undefined) return op.value.handle;
  if (op.$case === 'create') {
    return { ...base, app: op.value.app, name: op.value.className, id: op.value.id || 'fresh' };
  }
  if (op.$case === 'resolve') return { ...base, app: op.value.app, name: op.value.className, id: op.value.id };
  throw new Error(`no handle in ${op.$case}`);
}
