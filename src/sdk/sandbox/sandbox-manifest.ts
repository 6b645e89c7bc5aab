import type { ClassManifest, ClassOptions } from '../../common/manifest.js';

/** The manifest of a sandbox, without its export's name; its methods are the runtime's own. */
export function sandboxManifest(name: string, options: ClassOptions): ClassManifest {
  return {
    kind: 'sandbox',
    name,
    exportName: '',
    options,
    methods: {},
    parameters: [{ name: 'options', optional: true, rest: false }],
    signature: '(options = {})',
    enterHooks: [],
    exitHooks: [],
  };
}
