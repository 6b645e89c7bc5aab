import type { SpanContext, Tracer } from '@opentelemetry/api';

/** A span of Holdfast's own; where nobody traces there is none. */
export interface ActiveSpan {
  /** W3C, for who goes on with the trace. */
  readonly traceparent: string;
  /** @param code of the error that it ended with; null: it ended well */
  end(code: string | null): void;
}

export interface SpanStart {
  readonly name: 'sdk.call' | 'router.resolve' | 'worker.invoke' | 'container.run';
  readonly kind: 'client' | 'server' | 'internal';
  /** W3C traceparent of the caller; null: whatever is active in this process, or a new trace. */
  readonly parent: string | null;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface SpanTracer {
  start(span: SpanStart): ActiveSpan;
  /** Traceparent of the span that is active here, the user's own for one; empty: none. */
  current(): string;
}

/** `active` is null unless `initTracing` was called: a call then costs one comparison. */
export const tracing: { active: SpanTracer | null } = { active: null };

type Api = typeof import('@opentelemetry/api');

/** From here on spans are made with the tracer that is registered. */
export async function initTracing(): Promise<void> {
  const api = await import('@opentelemetry/api');
  const tracer = api.trace.getTracer('holdfast');
  tracing.active = {
    start: (span) => startSpan(api, tracer, span),
    current: () => {
      const active = api.trace.getSpanContext(api.context.active());
      return active === undefined ? '' : traceparentOf(active);
    },
  };
}

function startSpan(api: Api, tracer: Tracer, { name, kind, parent, attributes }: SpanStart): ActiveSpan {
  const active = api.context.active();
  const remote = parent === null ? null : parseTraceparent(parent);
  const within = remote === null ? active : api.trace.setSpanContext(active, { ...remote, isRemote: true });
  const kinds = { client: api.SpanKind.CLIENT, server: api.SpanKind.SERVER, internal: api.SpanKind.INTERNAL };
  const span = tracer.startSpan(name, { kind: kinds[kind], attributes }, within);
  return {
    traceparent: traceparentOf(span.spanContext()),
    end: (code) => {
      if (code !== null) {
        span.setAttribute('holdfast.code', code);
        span.setStatus({ code: api.SpanStatusCode.ERROR, message: code });
      }
      span.end();
    },
  };
}

function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

function parseTraceparent(text: string): SpanContext | null {
  const match = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(text);
  if (match === null) return null;
  const [, traceId = '', spanId = '', flags = ''] = match;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) };
}
