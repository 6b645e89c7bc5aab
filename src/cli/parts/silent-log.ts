import type { Logger } from '../../common/context.js';

const nothing = (): void => undefined;

/** Of a part that nobody runs for itself. */
export const silentLog: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
