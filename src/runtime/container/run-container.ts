import type { InstanceClass } from '../../common/activation.js';
import { isBatchError } from '../../common/batches.js';
import type { Clock } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { Channel, Transport } from '../../common/ports/channel.js';
import { decodeArgs } from '../../wire/codec/codec.js';
import { encodeError, encodeUserError } from '../../wire/errors.js';
import { decodeBody, encodeBody } from '../../wire/frames/frame-bodies.js';
import { readBody, readCall, readCancel, readCredit, readFrames } from '../../wire/frames/frame-reader.js';
import { FrameStream } from '../../wire/frames/frame-stream.js';
import { type ActivateBody, type DeactivateBody, FrameKind, type LoadBody } from '../../wire/frames/frames.js';
import { RefTable } from '../../wire/frames/ref-table.js';
import { type HostedClass, type HostParts, hostedClass } from './hosted-class.js';
import { HostedInstance } from './hosted-instance.js';
import { LogSink } from './log-sink.js';
import { RunningCall } from './running-call.js';
import { StateRequests } from './state-requests.js';
import { TunnelTransport } from './tunnel-transport.js';

export interface ContainerOptions {
  /** To the worker; its end is the end of the container. Of its messages nothing is kept: they may be gone when they were read. */
  readonly channel: Channel;
  /** The class that the bundle has registered; undefined where it has not. */
  readonly resolveClass: (app: string, className: string) => InstanceClass | undefined;
  /** @throws ActivationFailed */
  readonly load: (body: LoadBody) => Promise<void>;
  /** The classes are ours: errors of this package that they throw are what callers get. Default: false. */
  readonly isBuiltIn?: boolean;
  readonly clock: Clock;
  /** How the SDK in this process reaches the cluster. */
  readonly onTransport: (transport: Transport) => void;
}

/** The inside of a container process. */
export interface RunningContainer {
  /** Resolves when the worker is gone, with why; then the process ends. */
  readonly closed: Promise<Error | null>;
  /** One last line, written before the process dies of it. */
  reportCrash(thrown: unknown): void;
}

/** Serves one worker until its channel closes. */
export function runContainer(options: ContainerOptions): RunningContainer {
  const host = new ContainerHost(options);
  return { closed: host.serve(), reportCrash: (thrown) => host.reportCrash(thrown) };
}

/**
 * Takes the worker's frames and hands them to instances, calls and tunnels.
 *
 * I1. Reading never waits: whatever takes time is a call, an activation or the load, which answer when they are done.
 * I2. Answers leave at once when nothing else runs, else together in one batch.
 */
class ContainerHost {
  readonly #options: ContainerOptions;
  readonly #stream: FrameStream;
  readonly #logs: LogSink;
  readonly #state: StateRequests;
  readonly #transport: TunnelTransport;
  readonly #instances = new Map<number, HostedInstance>();
  readonly #calls = new RefTable<RunningCall>();
  #isLoading = false;
  /** Of all its instances; null before the load. */
  #class: HostedClass | null = null;
  #isReading = false;
  #hasAnswers = false;

  constructor(options: ContainerOptions) {
    this.#options = options;
    this.#stream = new FrameStream(options.channel);
    this.#logs = new LogSink(this.#stream);
    this.#state = new StateRequests(this.#stream);
    this.#transport = new TunnelTransport(this.#stream, options.clock);
  }

  serve(): Promise<Error | null> {
    const closed = new Promise<Error | null>((resolve) => {
      this.#options.channel.open({
        onMessage: (batch) => this.#receive(batch),
        onDrain: () => this.#onDrain(),
        onClosed: (error) => {
          this.#stream.close();
          this.#transport.onClosed();
          resolve(error);
        },
      });
    });
    this.#options.onTransport(this.#transport);
    return closed;
  }

  reportCrash(thrown: unknown): void {
    const [only] = this.#instances.size === 1 ? this.#instances.keys() : [0];
    this.#logs.write(
      { slot: only ?? 0, callId: null },
      {
        level: 'error',
        message: 'the container ends: an error was thrown that nobody caught',
        fields: { error: thrown },
      },
    );
    this.#stream.flushNow();
  }

  #receive(batch: Uint8Array): void {
    this.#isReading = true;
    try {
      // biome-ignore lint/complexity/useMaxParams: no object per frame
      readFrames(batch, (kind, ref, slot, frame) => {
        if (kind === FrameKind.Call) this.#onCall(ref, slot, frame);
        else this.#onOther(kind, { ref, slot, frame });
      });
    } catch (error) {
      this.#options.channel.close(error as Error);
    }
    this.#isReading = false;
    if (this.#hasAnswers) this.#flush();
  }

  #onCall(ref: number, slot: number, frame: Buffer): void {
    const head = readCall(frame);
    const instance = this.#instances.get(slot);
    if (instance === undefined) {
      const error = new HoldfastError(
        'Internal',
        `call ${ref} is for slot ${slot}, where this container has no instance`,
      );
      this.#stream.writer.frame(FrameKind.Error, ref, 0, encodeError(error));
      this.#callEnded(ref);
      return;
    }
    const call = new RunningCall(instance, ref, head);
    this.#calls.set(ref, call);
    instance.arrived(call);
  }

  #onOther(
    kind: FrameKind,
    { ref, slot, frame }: { readonly ref: number; readonly slot: number; readonly frame: Buffer },
  ): void {
    switch (kind) {
      case FrameKind.Chunk:
        this.#calls.get(ref)?.onChunk(readBody(frame));
        return;
      case FrameKind.Credit:
        this.#calls.get(ref)?.onCredit(readCredit(frame));
        return;
      case FrameKind.Cancel:
        this.#calls.get(ref)?.onCancel(readCancel(frame));
        return;
      case FrameKind.Load:
        void this.#load(decodeBody(readBody(frame)) as unknown as LoadBody);
        return;
      case FrameKind.Activate:
        void this.#activate(slot, decodeBody(readBody(frame)) as unknown as ActivateBody);
        return;
      case FrameKind.Deactivate:
        void this.#deactivate(slot, decodeBody(readBody(frame)) as unknown as DeactivateBody);
        return;
      case FrameKind.StateReply:
        this.#state.onReply(ref, readBody(frame));
        return;
      default:
        this.#transport.onFrame(kind, ref, readBody(frame));
    }
  }

  async #load(body: LoadBody): Promise<void> {
    try {
      if (this.#isLoading) {
        throw new HoldfastError('Internal', `container ${body.containerId} has a bundle already or is loading one`);
      }
      this.#isLoading = true;
      await this.#options.load(body);
      const { app, className } = body;
      this.#class = hostedClass(this.#partsFor(body), body, this.#options.resolveClass(app, className));
      this.#answer(FrameKind.Loaded, 0);
    } catch (error) {
      this.#answer(FrameKind.LoadFailed, 0, encodeError(error));
    }
  }

  #partsFor({ containerId, app }: LoadBody): HostParts {
    const { isBuiltIn = false, clock } = this.#options;
    return {
      containerId,
      appName: app,
      stream: this.#stream,
      logs: this.#logs,
      state: this.#state,
      clock,
      isFinal: (thrown) => isBuiltIn && isHoldfastError(thrown),
      encodeThrown: isBuiltIn ? encodeError : encodeUsersError,
      callEnded: (ref) => this.#callEnded(ref),
    };
  }

  async #activate(slot: number, body: ActivateBody): Promise<void> {
    try {
      const klass = this.#class;
      if (klass === null || this.#instances.has(slot)) {
        const why = klass === null ? 'no bundle is loaded' : `slot ${slot} is taken`;
        throw new HoldfastError('Internal', `instance ${body.id} cannot be activated: ${why}`);
      }
      const instance = new HostedInstance(klass, slot, body);
      this.#instances.set(slot, instance);
      if (await instance.activate(decodeArgs(body.args))) this.#answer(FrameKind.Activated, slot);
    } catch (error) {
      this.#answer(FrameKind.ActivationFailed, slot, encodeError(error));
    }
  }

  async #deactivate(slot: number, body: DeactivateBody): Promise<void> {
    const instance = this.#instances.get(slot);
    const left = instance === undefined ? { exitHook: 'skipped' as const } : await instance.leave(body);
    this.#instances.delete(slot);
    this.#answer(FrameKind.Deactivated, slot, encodeBody(left));
  }

  #answer(kind: FrameKind, slot: number, body?: Uint8Array): void {
    this.#stream.writer.frame(kind, 0, slot, body);
    this.#stream.flushThisTick();
  }

  #callEnded(ref: number): void {
    this.#calls.delete(ref);
    if (this.#isReading) this.#hasAnswers = true;
    else this.#flush();
  }

  #flush(): void {
    this.#hasAnswers = false;
    if (this.#calls.size === 0) this.#stream.flushNow();
    else this.#stream.flushSoon();
  }

  #onDrain(): void {
    this.#stream.onDrain();
    for (const call of this.#calls.values()) call.onDrain();
    this.#transport.onDrain();
  }
}

/** What its method answered to a batch is not what the code of a single call threw. */
function encodeUsersError(thrown: unknown): Uint8Array {
  return isBatchError(thrown) ? encodeError(thrown) : encodeUserError(thrown);
}
