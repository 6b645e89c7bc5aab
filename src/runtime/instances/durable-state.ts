import { setMaxListeners } from 'node:events';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { describeIdentity } from '../../common/ids.js';
import type { StateOwner } from '../../common/ports/state-store.js';
import type { Store } from '../../common/ports/store.js';
import { encodeError } from '../../wire/errors.js';
import { encodeBody } from '../../wire/frames/frame-bodies.js';
import { FrameKind } from '../../wire/frames/frames.js';
import { encodePage, readStateRequest, type StateRequest } from '../../wire/frames/state-bodies.js';
import { type Patience, untilKnown } from '../calls/until-known.js';
import type { Container } from '../hosting/container.js';
import type { RequestOrigin } from '../hosting/container-events.js';
import { attestOne } from './attest.js';
import type { Instance } from './instance.js';

export interface DurableStateDeps {
  readonly store: Pick<Store, 'state' | 'alarms' | 'pins'>;
  readonly clock: Clock;
  /** False: this boot is over (S7). */
  readonly mayRun: () => boolean;
}

/** What a container sends at once where it keeps to the protocol, and as much again. */
const mostAtOnce = 128;
const mostBytesAtOnce = 16_777_216;
/** More than commits take, and than clocks differ. */
const soonMs = 60_000;

/**
 * What the instances of one container ask of their durable state.
 *
 * I1. The epoch is this worker's own knowledge: a container cannot name another instance, or another activation (D1).
 * I2. A store that does not answer is asked again, until it does, the container is dead or this boot is over: what was written is
 *     neither lost nor in doubt. A commit that arrives twice counts once (D4).
 * I3. An activation that the store no longer knows is stopped at once, with its container (S9).
 */
export class DurableState {
  readonly #container: Container;
  readonly #deps: DurableStateDeps;
  readonly #over = new AbortController();
  #underway = 0;
  #bytes = 0;

  constructor(container: Container, deps: DurableStateDeps) {
    this.#container = container;
    this.#deps = deps;
    // Each request that waits for the store listens to it.
    setMaxListeners(mostAtOnce, this.#over.signal);
  }

  /** @throws InvalidArgument for what breaks the protocol, which ends the container */
  onFrame({ ref, instance }: RequestOrigin, body: Buffer): void {
    const request = readStateRequest(body);
    if (this.#underway >= mostAtOnce)
      throw new HoldfastError('InvalidArgument', `a container asks for state ${mostAtOnce} times at once`);
    if (this.#bytes + body.length > mostBytesAtOnce)
      throw new HoldfastError(
        'InvalidArgument',
        `a container asks for state with more than ${mostBytesAtOnce} bytes at once`,
      );
    const { length } = body;
    this.#underway += 1;
    this.#bytes += length;
    void this.#answer(instance, request)
      .then(
        (answer) => this.#reply(ref, 1, answer),
        (error: unknown) => this.#reply(ref, 0, encodeError(error)),
      )
      .finally(() => {
        this.#underway -= 1;
        this.#bytes -= length;
      });
  }

  /** The container is dead. */
  close(): void {
    this.#over.abort();
  }

  #reply(ref: number, isGood: 0 | 1, answer: Uint8Array): void {
    if (this.#over.signal.aborted) return;
    this.#container.reply(FrameKind.StateReply, ref, Buffer.concat([Uint8Array.of(isGood), answer]));
  }

  /** @throws what was refused for good */
  async #answer(instance: Instance | null, request: StateRequest): Promise<Uint8Array> {
    if (instance === null) throw new HoldfastError('InstanceClosed', 'the instance has left this container');
    const alarm = request.op === 'commit' && typeof request.commit.alarm === 'number' ? request.commit.alarm : null;
    // Before it stands: else nobody might look (A1).
    if (alarm !== null) await this.#expectAlarm(instance, alarm);
    const answer = await this.#stored(instance, request);
    if (answer === 'stale') {
      // Its pin is another's, whatever this worker believed: nothing that it does counts any more.
      this.#container.kill();
      instance.kill();
      throw new HoldfastError('InstanceLost', `another activation of ${describeIdentity(instance.identity)} has begun`);
    }
    // Somebody may have looked already, and found nothing yet.
    if (alarm !== null && alarm < this.#deps.clock.now() + soonMs) await this.#expectAlarm(instance, alarm);
    return answer;
  }

  /** What the containers of a pool write goes together, and does not end with the one that it came from. */
  #stored(instance: Instance, request: StateRequest): Promise<Uint8Array | 'stale'> {
    if (instance.pool === null || request.op !== 'commit') return this.#known(instance, request, this.#patience);
    const { clock, mayRun } = this.#deps;
    const patience = { clock, isOver: () => !mayRun() };
    const { commits } = instance.pool;
    return commits.add(request.commit, (commit) => this.#known(instance, { op: 'commit', commit }, patience));
  }

  async #known(instance: Instance, request: StateRequest, patience: Patience): Promise<Uint8Array | 'stale'> {
    const owner = { key: instance.key, epoch: instance.epoch };
    const answer = await untilKnown(() => this.#ask(owner, request), patience);
    // A server that took over may only have forgotten it (S10).
    if (answer !== 'stale' || !(await untilKnown(() => attestOne(this.#deps.store.pins, instance), patience)))
      return answer;
    return await untilKnown(() => this.#ask(owner, request), patience);
  }

  async #expectAlarm({ identity, key }: Instance, alarm: number): Promise<void> {
    await untilKnown(() => this.#deps.store.alarms.expect(identity.account, key, alarm), this.#patience);
  }

  async #ask(owner: StateOwner, request: StateRequest): Promise<Uint8Array | 'stale'> {
    const { state } = this.#deps.store;
    switch (request.op) {
      case 'commit': {
        const answer = await state.commit(owner, request.commit);
        return answer === 'stale' ? answer : encodeBody({});
      }
      case 'get': {
        const answer = await state.get(owner, request.key);
        return answer === 'stale' ? answer : encodeBody(answer);
      }
      case 'alarm': {
        const answer = await state.alarm(owner);
        return answer === 'stale' ? answer : encodeBody({ atMs: answer.alarm?.atMs ?? null });
      }
      case 'list': {
        const answer = await state.list(owner, request.range);
        return answer === 'stale' ? answer : encodePage(answer);
      }
      default:
        return request satisfies never;
    }
  }

  /** Until the container is dead, too. */
  get #patience(): Patience {
    const { clock, mayRun } = this.#deps;
    const { signal } = this.#over;
    return { clock, isOver: () => signal.aborted || !mayRun(), ended: signal };
  }
}
