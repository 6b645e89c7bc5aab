/** What was started, to be ended with its process; `shutdown` sends what is left. */
export interface Telemetry {
  shutdown(): Promise<void>;
}

const off: Telemetry = { shutdown: () => Promise.resolve() };

/**
 * OpenTelemetry for a router or worker process, only where an OTEL_* variable asks for it: its SDK takes more than a second
 * to load. Before gRPC and ioredis are loaded, which it would instrument.
 */
export async function startTelemetry(env: NodeJS.ProcessEnv, serviceName: string): Promise<Telemetry> {
  const isAsked = Object.keys(env).some((name) => name.startsWith('OTEL_'));
  if (!isAsked || env['OTEL_SDK_DISABLED'] === 'true') return off;
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  const sdk = new NodeSDK(env['OTEL_SERVICE_NAME'] ? {} : { serviceName });
  sdk.start();
  const { initTracing } = await import('../wire/tracing.js');
  await initTracing();
  // A collector that is away must not keep a process from ending.
  return { shutdown: () => sdk.shutdown().catch(() => undefined) };
}
