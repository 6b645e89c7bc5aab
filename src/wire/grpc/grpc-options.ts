import type { ClientOptions, ServerOptions } from '@grpc/grpc-js';

/** A message is a batch (64 KiB and a frame), arguments or a piece of a bundle; batches that wait may be longer. */
const maxMessageBytes = 134_217_728;

/** In which a connection says what it is, with TLS in which its handshake ends. */
export const patienceMs = 10_000;

/** HTTP/2 starts at 64 KiB, which a far worker fills within one round trip. */
export const windowBytes = 1_048_576;
/** HTTP/2 starts at 16 KiB: work for each frame, on both sides, is as much as that for its bytes. */
export const largestFrameBytes = 262_144;

const sharedOptions = {
  // A silent peer is noticed after 6 s, on both sides, also while no call is under way. Most of that is patience: a process
  // that stood still finds its timer before the answer that waits in its socket.
  'grpc.keepalive_time_ms': 2_000,
  'grpc.keepalive_timeout_ms': 4_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_receive_message_length': maxMessageBytes,
  'grpc.max_send_message_length': maxMessageBytes,
  'grpc-node.flow_control_window': windowBytes,
} as const;

export const clientOptions: ClientOptions = {
  ...sharedOptions,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
  'grpc.enable_http_proxy': 0,
  // It keeps what streams send in memory until they are answered; all retries are ours.
  'grpc.enable_retries': 0,
  // A service config from DNS would be somebody else's.
  'grpc.service_config_disable_resolution': 1,
  // Connections of one transport are its own: closing it closes them.
  'grpc.use_local_subchannel_pool': 1,
};

export const serverOptions: ServerOptions = { ...sharedOptions, 'grpc.max_concurrent_streams': 100_000 };
