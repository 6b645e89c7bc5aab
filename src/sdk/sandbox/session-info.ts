import type { InstanceView } from '../../wire/gen/holdfast/v1/router.js';
import { instanceInfo } from '../classes/instance-infos.js';
import type { SandboxSessionInfo } from './types.js';

export function sessionInfo(view: InstanceView): SandboxSessionInfo {
  const { cwd = '/', processes = [], memoryBytes = 0, files = null } = view.session ?? {};
  return {
    ...instanceInfo(view),
    cwd,
    processes: processes.map(({ pid, command, startedAtMs }) => ({ pid, command, startedAt: new Date(startedAtMs) })),
    memoryBytes,
    files,
    tags: view.tags,
  };
}
