import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { startClusterProcesses } from './cluster-processes.js';

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
}

/** What an OpenTelemetry collector is sent, by OTLP over HTTP in JSON. */
async function startCollector() {
  const spans: Span[] = [];
  let arrived: () => void = () => undefined;
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(parts).toString('utf8')) as {
        resourceSpans?: { scopeSpans: { spans: Span[] }[] }[];
      };
      for (const resource of body.resourceSpans ?? [])
        for (const scope of resource.scopeSpans) spans.push(...scope.spans);
      response.setHeader('content-type', 'application/json').end('{}');
      arrived();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async until(names: readonly string[]): Promise<Span[]> {
      while (!names.every((name) => spans.some((span) => span.name === name))) {
        await new Promise<void>((resolve) => {
          arrived = resolve;
        });
      }
      return spans;
    },
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

describe('tracing', () => {
  it('follows one call from the SDK through router, worker and container, where OTEL_* asks for it', async () => {
    await using collector = await startCollector();
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: '100',
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_LOGS_EXPORTER: 'none',
    };
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
