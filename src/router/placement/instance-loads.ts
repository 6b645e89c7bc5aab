import type { Logger } from '../../common/context.js';
import { instanceKey } from '../../common/ids.js';
import { isAtWorker, type Pin } from '../../common/pin.js';
import type { Bus } from '../../common/ports/bus.js';
import type { InstanceLoad } from '../../wire/gen/holdfast/v1/bus.js';
import type { InstanceView } from '../../wire/gen/holdfast/v1/router.js';
import { type Addressee, askWorker } from './worker-control.js';

/** A worker that does not answer in this time is left out: what the store knows is shown without it. */
const answerWithinMs = 1_000;
const keysPerRequest = 1_000;

interface Question {
  readonly to: Addressee;
  readonly keys: string[];
}

/** What the workers say of their instances, by instance key; nothing of those that are nowhere or whose worker is silent. */
export async function readLoads(
  parts: { readonly bus: Bus; readonly log: Logger },
  pins: readonly Pin[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, InstanceLoad>> {
  const loads = new Map<string, InstanceLoad>();
  const ask = async ({ to, keys }: Question): Promise<void> => {
    const op = { $case: 'describe' as const, value: { keys } };
    try {
      const { instances } = await askWorker(parts.bus, to, { op, timeoutMs: answerWithinMs, signal });
      for (const load of instances) loads.set(load.key, load);
    } catch (error) {
      signal.throwIfAborted();
      parts.log.info('describe.unanswered', { worker: to.workerId, error: String(error) });
    }
  };
  await Promise.all(questionsAbout(pins).map(ask));
  return loads;
}

function questionsAbout(pins: readonly Pin[]): Question[] {
  const open = new Map<string, Question>();
  const questions: Question[] = [];
  for (const { identity, workerId, bootId, state } of pins) {
    if (workerId === null || bootId === null || !isAtWorker(state)) continue;
    let question = open.get(bootId);
    if (question === undefined || question.keys.length === keysPerRequest) {
      question = { to: { account: identity.account, workerId, bootId }, keys: [] };
      open.set(bootId, question);
      questions.push(question);
    }
    question.keys.push(instanceKey(identity));
  }
  return questions;
}

/** The pin and what its worker says of it. */
export function instanceView(pin: Pin, load: InstanceLoad | undefined): InstanceView {
  const { identity, workerId } = pin;
  const now = load?.epoch === pin.epoch ? load : undefined;
  return {
    app: identity.app,
    name: identity.className,
    id: identity.id,
    generation: pin.generation,
    epoch: pin.epoch,
    state: pin.state,
    // Idle and closed ones are nowhere, whoever had them last.
    workerId: workerId !== null && pin.state !== 'idle' && pin.state !== 'closed' ? workerId : undefined,
    running: now?.running ?? 0,
    pending: now?.pending ?? 0,
    deployment: pin.deployment,
    createdAtMs: pin.createdAtMs,
    lastCallAtMs: now?.lastCallAtMs || undefined,
    restarts: pin.restarts,
    kind: pin.kind,
    tags: [...pin.tags],
    session: now?.session,
  };
}
