import { Counter, Gauge, Histogram, Registry } from 'prom-client';

export type ControlOp = 'resolve' | 'create' | 'attach' | 'close' | 'grant' | 'getSpawned';

/** What a router counts; ids are never labels. */
export interface RouterMetrics {
  /** One operation of a control stream: `ok` or the error's code. */
  countOp(op: ControlOp, outcome: string, durationMs: number): void;
  /** One answer to a place request. */
  countPlace(outcome: 'active' | 'refused' | 'unknown'): void;
  /** A control stream opened (1) or ended (-1). */
  streams(change: 1 | -1): void;
  /** Prometheus text. */
  text(): Promise<string>;
}

export function createRouterMetrics(): RouterMetrics {
  const registry = new Registry();
  const registers = [registry];
  const ops = new Histogram({
    name: 'holdfast_router_op_seconds',
    help: 'Resolve, create, attach and close, by outcome: ok or the error code',
    labelNames: ['op', 'outcome'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60],
    registers,
  });
  const places = new Counter({
    name: 'holdfast_router_places_total',
    help: 'Answers to place requests; unknown: none came',
    labelNames: ['outcome'],
    registers,
  });
  const streams = new Gauge({ name: 'holdfast_router_streams', help: 'Control streams that are open', registers });
  return {
    countOp: (op, outcome, durationMs) => ops.labels(op, outcome).observe(durationMs / 1_000),
    countPlace: (outcome) => places.labels(outcome).inc(),
    streams: (change) => streams.inc(change),
    text: () => registry.metrics(),
  };
}
