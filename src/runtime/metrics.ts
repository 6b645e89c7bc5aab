import { Counter, Gauge, Registry } from 'prom-client';

/** What a worker counts; ids are never labels. */
export interface WorkerMetrics {
  countCall(outcome: 'admitted' | 'moved' | 'refused'): void;
  /** Read when somebody asks for the metrics. */
  observe(read: () => WorkerGauges): void;
  /** Prometheus text. */
  text(): Promise<string>;
}

export interface WorkerGauges {
  readonly instances: number;
  readonly containers: number;
  readonly sandboxes: number;
  readonly clients: number;
  readonly leaseAgeMs: number;
}

export function createWorkerMetrics(): WorkerMetrics {
  const registry = new Registry();
  // Plain numbers, read when somebody asks: a call must not pay for a library's bookkeeping.
  const counts = { admitted: 0, moved: 0, refused: 0 };
  new Counter({
    name: 'holdfast_worker_calls_total',
    help: 'Calls that reached this worker, by what admission did with them',
    labelNames: ['outcome'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [outcome, count] of Object.entries(counts)) this.labels(outcome).inc(count);
    },
  });
  return {
    countCall: (outcome) => {
      counts[outcome]++;
    },
    observe: (read) => {
      gauge('holdfast_worker_instances', 'Instances that are activated here', () => read().instances);
      gauge('holdfast_worker_containers', 'Containers that run a class', () => read().containers);
      gauge('holdfast_worker_sandboxes', 'Sandboxes that run a session', () => read().sandboxes);
      gauge('holdfast_worker_clients', 'Clients with a session', () => read().clients);
      gauge('holdfast_worker_lease_age_ms', 'Time since the last good renewal was sent', () => read().leaseAgeMs);
    },
    text: () => registry.metrics(),
  };

  function gauge(name: string, help: string, value: () => number): void {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });
  }
}
