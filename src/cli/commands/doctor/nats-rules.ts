import type { NatsServerInfo } from '../../../adapters/nats/server-info.js';
import type { Rule } from './finding.js';

const oldest: readonly [number, number] = [2, 9];
const payloadBytes = 1_048_576;

/** What docs/operations.md asks of a NATS. */
export const natsRules: readonly Rule<NatsServerInfo>[] = [
  {
    level: 'problem',
    breach: ({ maxPayloadBytes }) =>
      maxPayloadBytes >= payloadBytes
        ? null
        : `max_payload is ${maxPayloadBytes} bytes: place requests with large constructor arguments fail`,
    next: `set max_payload to ${payloadBytes} or more`,
  },
  {
    level: 'warning',
    breach: ({ asksForCredentials }) =>
      asksForCredentials ? null : 'asks for no credentials: whoever reaches it can stop instances',
    next: 'give routers and workers users of their own (docs/operations.md, NATS)',
  },
  {
    level: 'warning',
    breach: ({ version }) => {
      const [major = 0, minor = 0] = version.split('.').map(Number);
      const isOld = major < oldest[0] || (major === oldest[0] && minor < oldest[1]);
      return isOld ? `is version ${version}; ${oldest.join('.')} is the oldest that is tested` : null;
    },
    next: 'upgrade it',
  },
];
