import type { ContainerExit } from '../../common/ports/container.js';
import type { FrameKind } from '../../wire/frames/frames.js';
import type { Instance } from '../instances/instance.js';

/** What a container says besides its answers. */
export interface ContainerEvents {
  onLog(origin: LogOrigin, body: Uint8Array): void;
  /** Frames of its tunnels (nested calls), and of the instance's durable state; null: it is not there any more. */
  onRequest(kind: FrameKind, from: RequestOrigin, body: Buffer): void;
  /** @param died null: before anybody listened */
  onDied(exit: ContainerExit, died: DeadContainer | null): void;
}

export interface RequestOrigin {
  /** The container's number for it. */
  readonly ref: number;
  readonly instance: Instance | null;
}

/** What was in a container when it died. */
export interface DeadContainer {
  readonly app: string;
  readonly className: string;
  readonly instances: readonly Instance[];
  /** Calls that it had, which nobody knows the outcome of now. */
  readonly calls: number;
  /** This worker killed it. */
  readonly isEndedHere: boolean;
}

/** Where a line was said; the instance is null where several share the container. */
export interface LogOrigin {
  readonly app: string;
  readonly className: string;
  readonly instance: Instance | null;
}
