import type { WorkerSetting } from './cluster-options.js';
import type { ClusterPart } from './cluster-process.js';

/** The account of every test cluster. */
export const testAccount = 'default';

/** What a mode must be able to do for a cluster. */
export interface ClusterBackend {
  readonly natsUrl: string | null;
  readonly redisUrl: string | null;
  createToken(): Promise<string>;
  startRouter(id: string): Promise<ClusterPart>;
  startWorker(setting: WorkerSetting & { readonly id: string }): Promise<ClusterPart>;
  /** After the parts: all that they stood on, with every file. */
  close(): Promise<void>;
}
