import { checkOptions } from '../../common/check-options.js';
import { HoldfastError } from '../../common/errors.js';
import type { ImageBase } from '../../common/image-recipe.js';

/** What each release has. Source: packages.debian.org. */
const releases = [
  { suite: 'bookworm', python: '3.11', node: '18' },
  { suite: 'trixie', python: '3.13', node: '20' },
] as const;

const pythonPackages = ['python3', 'python3-pip', 'python3-venv'];
const nodePackages = ['nodejs', 'npm'];

/** The release that has both, and the packages. @throws InvalidArgument */
export function debianBase(options: { readonly pythonVersion?: string; readonly nodeVersion?: string }): ImageBase {
  checkOptions('Image.debianSlim', options, { pythonVersion: isVersion, nodeVersion: isVersion });
  const { pythonVersion: python, nodeVersion: node } = options;
  const release = releases.find(
    (each) => (python === undefined || each.python === python) && (node === undefined || each.node === node),
  );
  if (release === undefined) {
    const known = releases.map((each) => `Python ${each.python} with Node ${each.node} (${each.suite})`).join(', ');
    const wanted = [python && `Python ${python}`, node && `Node ${node}`].filter(Boolean).join(' with ');
    throw new HoldfastError('InvalidArgument', `no release of Debian has ${wanted}; there are: ${known}`);
  }
  const packages = [...(python === undefined ? [] : pythonPackages), ...(node === undefined ? [] : nodePackages)];
  return { from: 'debian', suite: release.suite, packages };
}

function isVersion(value: unknown): string | null {
  return typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? null : "a version such as '3.11'";
}
