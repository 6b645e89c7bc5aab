import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemRandom } from '../../../src/adapters/system/clock.js';
import { TimerWheel } from '../../../src/common/timer-wheel.js';
import { RecentCalls } from '../../../src/runtime/calls/recent-calls.js';
import { WorkerCall } from '../../../src/runtime/calls/worker-call.js';
import { ClassLoader } from '../../../src/runtime/hosting/loaded-class.js';
import { Instance } from '../../../src/runtime/instances/instance.js';
import { ManualClock } from '../../manual-clock.js';
import { WorkerWorld } from '../worker-world.js';

const nothing = (): void => undefined;

describe('the calls of an instance', () => {
  let world: WorkerWorld;
  let clock: ManualClock;
  let instance: Instance;
  beforeEach(async () => {
    world = await WorkerWorld.start();
    clock = new ManualClock();
    const wheel = new TimerWheel(clock, 10);
    const pin = await world.pinAt('Basket', 'a');
    const klass = await new ClassLoader(world.store).load(pin.identity, pin.deployment);
    const recentCalls = new RecentCalls({ clock, wheel });
    const mayRun = () => true;
    const spawned = { store: world.store, clock, random: systemRandom, mayRun, announce: nothing };
    const deps = { clock, wheel, mayRun, recentCalls, spawned, onContainerDied: nothing };
    instance = new Instance(pin.key, { pin, klass }, deps);
    instance.activated();
  });
  afterEach(() => world[Symbol.asyncDispose]());

  function call(): WorkerCall {
    const method = instance.klass.methods.get('work');
    if (method === undefined) throw new Error('the class has no such method');
    const caller = { forward: nothing, fail: nothing, moved: nothing, done: nothing };
    const init = { caller, ref: 1, instance, method, chain: null, deadlineAt: null, trace: null, isKeyed: false };
    return new WorkerCall(init);
  }

  it('are given back when it has had none for a second or two, and when the last one ended is not forgotten', () => {
    const one = call();
    instance.calls.accept(one, Buffer.alloc(32));
    const { calls } = instance;
    clock.advance(100);
    const endedAt = clock.monotonic();
    calls.ended(one, true);
    clock.advance(900);
    expect(instance.calls).toBe(calls);
    clock.advance(2_000);
    expect(instance.lastCallEndedAt).toBe(endedAt);
    // Neither its limit of time nor anybody who looks is left.
    expect(clock.timers).toBe(0);
    expect(instance.calls).not.toBe(calls);
  });

  it('stay while one of them runs, or is still answered', () => {
    const [one, other] = [call(), call()];
    for (const made of [one, other]) instance.calls.accept(made, Buffer.alloc(32));
    const { calls } = instance;
    clock.advance(5_000);
    calls.ended(one, false);
    calls.ended(other, true);
    clock.advance(5_000);
    expect(instance.calls).toBe(calls);
    calls.ended(one, true);
    clock.advance(5_000);
    expect(instance.calls).not.toBe(calls);
  });
});
