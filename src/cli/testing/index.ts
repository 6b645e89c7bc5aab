export type { TestCluster } from './cluster.js';
export type { ClusterOptions, WorkerSetting } from './cluster-options.js';
export type { ClusterProcess } from './cluster-process.js';
export { startCluster } from './start-cluster.js';
