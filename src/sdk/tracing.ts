import type { Span, SpanContext, Tracer } from '@opentelemetry/api';
import type { HoldfastError } from '../common/errors.js';

/** The span of one call, from its start to its answer, over all attempts. */
export interface CallSpan {
  /** W3C. */
  readonly traceparent: string;
  end(error: HoldfastError | null): void;
}

export interface CallTracer {
  start(instance: string, method: string, parent: string | null): CallSpan;
}

/** `active` is null unless `initTracing` was called: a call then costs one comparison. */
export const tracing: { active: CallTracer | null } = { active: null };

/** From here on calls make spans with the tracer that is registered. */
export async function initTracing(): Promise<void> {
  const api = await import('@opentelemetry/api');
  const tracer = api.trace.getTracer('holdfast');
  tracing.active = { start: (instance, method, parent) => startSpan({ api, tracer }, { instance, method, parent }) };
}

type Api = typeof import('@opentelemetry/api');

function startSpan(
  { api, tracer }: { readonly api: Api; readonly tracer: Tracer },
  call: { readonly instance: string; readonly method: string; readonly parent: string | null },
): CallSpan {
  const active = api.context.active();
  const remote = call.parent === null ? null : parseTraceparent(call.parent);
  const parent = remote === null ? active : api.trace.setSpanContext(active, { ...remote, isRemote: true });
  const attributes = { 'holdfast.instance': call.instance, 'holdfast.method': call.method };
  const span = tracer.startSpan('sdk.call', { kind: api.SpanKind.CLIENT, attributes }, parent);
  return {
    traceparent: traceparentOf(span),
    end: (error) => {
      if (error !== null) {
        span.setAttribute('holdfast.code', error.code);
        span.setStatus({ code: api.SpanStatusCode.ERROR, message: error.message });
      }
      span.end();
    },
  };
}

function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

function parseTraceparent(text: string): SpanContext | null {
  const match = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(text);
  if (match === null) return null;
  const [, traceId = '', spanId = '', flags = ''] = match;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) };
}
