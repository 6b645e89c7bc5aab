import { systemClock } from '../../adapters/system/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Child } from './child.js';

/** A router or worker of a test cluster. */
export interface ClusterProcess {
  readonly id: string;
  /** Null in embedded mode. */
  readonly pid: number | null;
  /** SIGKILL by default; `SIGTERM` drains. Resolves when the process is gone. @throws InvalidArgument for a signal that ends none */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** SIGSTOP. @throws InvalidArgument in embedded mode */
  pause(): void;
  /** SIGCONT. @throws InvalidArgument in embedded mode */
  resume(): void;
}

/** A process of the cluster as the cluster itself sees it. */
export interface ClusterPart {
  readonly process: ClusterProcess;
  /** `host:port` of its gRPC server. */
  readonly address: string;
  /** Resolves when it is gone, whoever ended it. */
  readonly ended: Promise<void>;
  /** In order, within a bound; then by force. Idempotent. */
  stop(): Promise<void>;
}

/** How long a part may take for what it runs and for its goodbyes when the cluster closes. */
const stopWithinMs = 5_000;

const endingSignals: ReadonlySet<string> = new Set<NodeJS.Signals>([
  'SIGKILL',
  'SIGTERM',
  'SIGINT',
  'SIGQUIT',
  'SIGHUP',
  'SIGABRT',
]);

/** A part that is a process of its own. */
export function realPart(id: string, address: string, child: Child): ClusterPart {
  let isPaused = false;
  const process: ClusterProcess = {
    id,
    pid: child.pid,
    kill: async (signal = 'SIGKILL') => {
      if (!endingSignals.has(signal)) {
        const wanted = `kill of '${id}' takes ${[...endingSignals].join(', ')}, got ${String(signal)}`;
        throw new HoldfastError('InvalidArgument', `${wanted}, which would not end it; see pause and resume`);
      }
      child.kill(signal);
      await child.ended;
    },
    pause: () => {
      isPaused = true;
      child.kill('SIGSTOP');
    },
    resume: () => {
      isPaused = false;
      child.kill('SIGCONT');
    },
  };
  // A stopped process never hears a SIGTERM.
  const stop = (): Promise<void> => child.stop(isPaused ? 0 : stopWithinMs);
  return { process, address, ended: child.ended, stop };
}

/** A part that lives in this process. */
export function embeddedPart(
  id: string,
  address: string,
  ways: { stop(): Promise<void>; abandon(): Promise<void> },
): ClusterPart {
  let ending: Promise<void> | null = null;
  let onEnded = (): void => undefined;
  const ended = new Promise<void>((resolve) => {
    onEnded = resolve;
  });
  const end = (how: () => Promise<void>): Promise<void> => {
    ending ??= how().finally(onEnded);
    return ending;
  };
  const refuse = (what: string): never => {
    throw new HoldfastError(
      'InvalidArgument',
      `'${id}' is embedded in this process, which cannot be ${what}; start the cluster with mode 'real'`,
    );
  };
  const process: ClusterProcess = {
    id,
    pid: null,
    kill: async (signal = 'SIGKILL') => {
      if (signal === 'SIGKILL') return end(ways.abandon);
      if (signal === 'SIGTERM' || signal === 'SIGINT') return end(ways.stop);
      throw new HoldfastError(
        'InvalidArgument',
        `'${id}' is embedded and takes SIGKILL, SIGTERM or SIGINT, got ${signal}; start the cluster with mode 'real'`,
      );
    },
    pause: () => refuse('paused'),
    resume: () => refuse('resumed'),
  };
  return { process, address, ended, stop: () => end(() => stopInTime(ways)) };
}

async function stopInTime(ways: { stop(): Promise<void>; abandon(): Promise<void> }): Promise<void> {
  const over = new AbortController();
  const stopping = ways.stop().finally(() => over.abort());
  const inTime = stopping.then(() => true);
  const late = systemClock.sleep(stopWithinMs, over.signal).then(
    () => false,
    () => true, // it has stopped meanwhile
  );
  if (await Promise.race([inTime, late])) return stopping;
  stopping.catch(() => undefined); // what it still wanted to say has no store to say it to
  await ways.abandon();
}
