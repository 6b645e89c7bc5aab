import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveClassOptions } from '../../../src/common/options.js';
import { ContainerStarts } from '../../../src/runtime/hosting/container-starts.js';
import type { LoadedClass } from '../../../src/runtime/hosting/loaded-class.js';
import { PreparedContainers } from '../../../src/runtime/hosting/prepared-containers.js';
import { ManualClock } from '../../manual-clock.js';
import { ScriptedStarter } from '../scripted-container.js';
import { turns, until } from '../until.js';

const nothing = () => undefined;
function needing(memoryMb: number): Pick<LoadedClass, 'kind' | 'options'> {
  return { kind: 'class', options: resolveClassOptions('a test', { memoryMb }) };
}

const events = { onLog: nothing, onRequest: nothing, onDied: nothing };

describe('warm containers', () => {
  let clock: ManualClock;
  let starter: ScriptedStarter;
  let starts: ContainerStarts;
  beforeEach(async () => {
    clock = new ManualClock();
    starter = new ScriptedStarter();
    starts = new ContainerStarts({
      ...{ starter, clock, warmSize: 1, warmMemoryMb: 1_024, canGrow: false },
      prepared: new PreparedContainers(clock, async () => undefined),
      eventsOf: () => events,
    });
    starts.fill();
    await until(() => starter.started.length === 1);
    await turns(2);
  });
  afterEach(() => starts.close());

  it('are replaced a moment after one was taken, so that the one who took it has the host to itself', async () => {
    expect(starts.takeWarm(needing(512))).not.toBeNull();
    expect(starter.asked).toBe(1);
    starts.fillSoon();
    starts.fillSoon();
    clock.advance(19);
    expect(starter.asked).toBe(1);
    clock.advance(1);
    expect(starter.asked).toBe(2);
    await turns(5);
    expect(starter.asked).toBe(2);
  });

  it('are started one after the other', async () => {
    for (let taken = 0; taken < 5; taken += 1) starts.takeWarm(needing(512));
    const letGo = starter.hold();
    starts.fillSoon();
    clock.advance(100);
    await turns(5);
    expect(starter.asked).toBe(2);
    letGo();
    await until(() => starter.started.length === 6);
  });

  it('are as many as were asked for within a few seconds, up to eight, and fewer again when nobody asks', async () => {
    for (let taken = 0; taken < 20; taken += 1) starts.takeWarm(needing(512))?.kill();
    starts.fillSoon();
    clock.advance(20);
    await until(() => starter.running.length === 8);
    await turns(5);
    expect(starter.running).toHaveLength(8);
    clock.advance(15_000);
    await turns(5);
    expect(starter.running).toHaveLength(1);
  });

  it('are not handed out for a class that needs a larger heap, nor when their process has hung up', async () => {
    expect(starts.takeWarm(needing(4_096))).toBeNull();
    starter.started[0]?.hangUp();
    await turns(3);
    expect(starts.takeWarm(needing(512))).toBeNull();
  });
});
