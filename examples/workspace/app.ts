import { App, Volume } from 'holdfast';

export const app = new App('workspace-demo', { entry: import.meta.url });

// Shared when somebody commits and somebody else reloads, and not before.
const shared = Volume.fromName('shared-data', { createIfMissing: true }).mount('/mnt/shared', { autoCommit: false });
export const box = app.sandbox({ name: 'box', volumes: [shared] });
