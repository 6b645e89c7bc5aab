import type { Role } from '../common/ports/store.js';

export function isRole(value: unknown): value is Role {
  return value === 'deploy' || value === 'call' || value === 'read';
}
