/** What a deployed bundle may import from `holdfast`: the values of index.ts, which its test compares. */
export const exportedNames = [
  'App',
  'BoundCls',
  'Client',
  'Cls',
  'HoldfastError',
  'Image',
  'Sandbox',
  'SandboxProcess',
  'SandboxSession',
  'Secret',
  'Volume',
  'currentContext',
  'enter',
  'exit',
  'isHoldfastError',
  'method',
] as const;
