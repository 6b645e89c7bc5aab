import type { CommandEvent } from '../../common/sandbox-methods.js';
import type { SandboxStreamEvent } from './types.js';

/** Adds the text to the bytes: a character that is split over two events comes with the second one. */
export async function* textEvents(
  events: AsyncIterable<CommandEvent>,
): AsyncGenerator<SandboxStreamEvent, void, undefined> {
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  for await (const event of events) {
    if (event.type === 'start' || event.type === 'exit') {
      yield event;
      continue;
    }
    const { type, bytes, offset } = event;
    yield { type, data: decoders[type].decode(bytes, { stream: true }), bytes, offset };
  }
}
