import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { Forwardings } from '../../src/sdk/sandbox/forward.js';

test('a port that is forwarded while its session is closed, or after, is not kept open', async () => {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port: localPort } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  const forwardings = new Forwardings();
  const open = () => forwardings.open({ label: 'app/shell/1' } as never, { port: 80, localPort });
  const opening = open().catch((error: unknown) => error);
  await forwardings.close();
  expect(await opening).toMatchObject({ code: 'InstanceClosed' });
  await expect(open()).rejects.toMatchObject({ code: 'InstanceClosed' });
  // Nobody has it.
  probe.listen(localPort, '127.0.0.1');
  await new Promise((resolve, reject) => probe.once('listening', resolve).once('error', reject));
  probe.close();
});
