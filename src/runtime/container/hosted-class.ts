import type { ActivatedClass, InstanceClass } from '../../common/activation.js';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { FrameStream } from '../../wire/frames/frame-stream.js';
import type { LoadBody } from '../../wire/frames/frames.js';
import type { LogSink } from './log-sink.js';
import type { StateRequests } from './state-requests.js';

/** What instances and calls need of the container that they are in. */
export interface HostParts {
  readonly containerId: string;
  readonly appName: string;
  readonly stream: FrameStream;
  readonly logs: LogSink;
  readonly state: StateRequests;
  readonly clock: Clock;
  /** See `ActivatedClass`. */
  readonly isFinal: (thrown: unknown) => boolean;
  /** What the code of a call threw, as its caller gets it. */
  readonly encodeThrown: (thrown: unknown) => Uint8Array;
  /** The call has written its last frame. */
  readonly callEnded: (ref: number) => void;
}

/** The class of all instances in this container, and what they have in common: an instance alone holds little. */
export interface HostedClass extends ActivatedClass {
  readonly host: HostParts;
  readonly name: string;
  /** Slots for calls, of each instance. */
  readonly concurrentRequests: number;
  readonly hasAlarm: boolean;
  /** Methods whose last run took no time, in any instance: what comes after one of them is not kept waiting by it. */
  readonly quick: Set<string>;
}

/** @param instanceClass that the bundle has registered @throws ActivationFailed where it has none */
export function hostedClass(host: HostParts, body: LoadBody, instanceClass: InstanceClass | undefined): HostedClass {
  if (instanceClass === undefined) throw noSuchClass(body);
  return {
    host,
    instanceClass,
    name: body.className,
    methods: new Set(body.methods),
    enterHooks: body.enterHooks,
    exitHooks: body.exitHooks,
    concurrentRequests: body.concurrentRequests,
    hasAlarm: body.hasAlarm,
    batches: new Map(Object.entries(body.batches ?? {})),
    quick: new Set(),
    isFinal: host.isFinal,
    clock: host.clock,
  };
}

function noSuchClass({ app, className }: LoadBody): HoldfastError {
  return new HoldfastError(
    'ActivationFailed',
    `the bundle of app ${app} has no class ${className}; does the deployed module import the file that declares it?`,
    { details: { app, className } },
  );
}
