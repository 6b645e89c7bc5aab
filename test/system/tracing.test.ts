import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { startClusterProcesses } from './cluster-processes.js';
import { type Span, startCollector } from './collector.js';

describe('tracing', () => {
  it('follows one call from the SDK through router, worker and container, where OTEL_* asks for it', async () => {
    await using collector = await startCollector();
    const { env } = collector;
    await using cluster = await startClusterProcesses({ env });
    await cluster.deploy(new URL('../fixtures/token-app.ts', import.meta.url));
    const access = { HOLDFAST_ENDPOINT: cluster.router.address, HOLDFAST_TOKEN: cluster.token };
    const program = fileURLToPath(new URL('../fixtures/traced-client.mjs', import.meta.url));
    await promisify(execFile)(process.execPath, [program], { env: { ...process.env, ...env, ...access } });
    const spans = await collector.until(['sdk.call', 'router.resolve', 'worker.invoke', 'container.run']);
    const named = (name: string) => spans.find((span) => span.name === name) as Span;
    expect(named('worker.invoke')).toMatchObject({
      traceId: named('sdk.call').traceId,
      parentSpanId: named('sdk.call').spanId,
    });
    expect(named('container.run').parentSpanId).toBe(named('worker.invoke').spanId);
  });
});
