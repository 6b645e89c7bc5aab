import { BenchProcess } from '../processes/child.js';
import { Contender, type ContenderPlan } from '../processes/contender.js';

export type FloorName = 'tcp-echo' | 'tcp-container' | 'grpc-unary' | 'grpc-stream';

const plans: Readonly<Record<FloorName, ContenderPlan>> = {
  'tcp-echo': { name: 'tcp-echo', title: 'TCP echo', payload: 'bytes', inFlight: 4 },
  'tcp-container': { name: 'tcp-container', title: 'TCP into a container', payload: 'text', inFlight: 4 },
  'grpc-unary': { name: 'grpc-unary', title: 'gRPC unary echo', payload: 'bytes', inFlight: 1 },
  'grpc-stream': { name: 'grpc-stream', title: 'gRPC stream echo', payload: 'bytes', inFlight: 4 },
};
const startsWithinMs = 30_000;

/** A server and a load generator, both handed to `own` before anything can fail. */
export async function openFloor(
  name: FloorName,
  { own, signal }: { readonly own: (resource: AsyncDisposable) => void; readonly signal: AbortSignal },
): Promise<Contender> {
  const server = new BenchProcess('server-main', [name]);
  own(server);
  const { port } = await server.receive<{ port: number }>({ withinMs: startsWithinMs, signal });
  const contender = new Contender(plans[name], () => new Map([[server.pid, 'server']]), signal);
  own(contender);
  await contender.open({ kind: name, port });
  return contender;
}
