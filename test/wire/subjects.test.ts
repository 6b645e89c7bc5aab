import { describe, expect, test } from 'vitest';
import { type InstanceKey, instanceKey, type WorkerId } from '../../src/common/ids.js';
import * as subjects from '../../src/wire/subjects.js';

describe('subjects', () => {
  const worker = 'w-1' as WorkerId;
  const key = instanceKey({ account: 'a', app: 'b', className: 'C', id: 'd' });

  test('are those of the design', () => {
    expect(subjects.workerControlSubject('acme', worker)).toBe('hf.v1.acme.worker.w-1.ctl');
    expect(subjects.heartbeatSubject('acme', worker)).toBe('hf.v1.acme.hb.w-1');
    expect(subjects.allHeartbeatsSubject('acme')).toBe('hf.v1.acme.hb.*');
    expect(subjects.heartbeatRequestSubject('acme')).toBe('hf.v1.acme.hb-request');
    expect(subjects.routerHeartbeatSubject('acme', 'r-1')).toBe('hf.v1.acme.router.r-1');
    expect(subjects.allRouterHeartbeatsSubject('acme')).toBe('hf.v1.acme.router.*');
    expect(subjects.pinEventSubject('acme', key)).toMatch(/^hf\.v1\.acme\.ev\.pin\.\d+$/);
    expect(subjects.allPinEventsSubject('acme')).toBe('hf.v1.acme.ev.pin.*');
    expect(subjects.logSubject('acme', 'web_app-1')).toBe('hf.v1.acme.log.web_app-1');
    expect(subjects.allLogsSubject('acme')).toBe('hf.v1.acme.log.*');
  });

  test('refuse an account, worker or router that is more than one token', () => {
    for (const wrong of ['', 'a.b', '*', 'a>', 'a b', 'a\tb', 'a\r\nPUB', 'a\0', 'x'.repeat(256)]) {
      const attempts = [
        () => subjects.heartbeatRequestSubject(wrong),
        () => subjects.heartbeatSubject('acme', wrong as WorkerId),
        () => subjects.workerControlSubject('acme', wrong as WorkerId),
        () => subjects.routerHeartbeatSubject('acme', wrong),
        () => subjects.logSubject(wrong, 'app'),
      ];
      for (const attempt of attempts) expect(attempt).toThrow(expect.objectContaining({ code: 'InvalidArgument' }));
    }
  });

  test('make one token of any app, another one for every app', () => {
    const apps = ['a.b', 'a b', 'a*', 'a>', 'ä', 'a%2e', 'a%2eb', 'a-b'];
    const made = apps.map((app) => subjects.logSubject('acme', app));
    for (const subject of made) expect(subject.split('.')).toHaveLength(5);
    expect(new Set(made).size).toBe(apps.length);
  });

  test('spread instances evenly over the shards', () => {
    const counts = new Array<number>(subjects.shardCount).fill(0);
    for (let i = 0; i < 16_000; i++) {
      const shard = subjects.shardOf(
        instanceKey({ account: 'a', app: 'b', className: 'C', id: String(i) }) as InstanceKey,
      );
      counts[shard] = (counts[shard] ?? 0) + 1;
    }
    for (const count of counts) expect(count).toBeGreaterThan(800);
  });
});
