import { readFileSync } from 'node:fs';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** A command of a shell session in the README, and what the README says that it prints. */
export interface SaidCommand {
  readonly command: string;
  /** Behind `npx holdfast call`, as a shell would split them. */
  readonly args: readonly string[];
  readonly output: string;
}

/** The code block that begins with `// name`, without that line. */
export function readmeFile(name: string): string {
  for (const block of blocks('ts')) if (block.startsWith(`// ${name}\n`)) return block.slice(block.indexOf('\n') + 1);
  throw new Error(`the README has no code block that begins with // ${name}`);
}

/** Commands behind `$ ` that begin with one of these, in the order of the README, from the first session that has both. */
export function readmeSession(...beginnings: readonly string[]): SaidCommand[] {
  const session = blocks('console').find((block) => beginnings.every((beginning) => block.includes(`$ ${beginning}`)));
  if (session === undefined) throw new Error(`the README has no session with ${beginnings.join(' and ')}`);
  return session
    .split(/^\$ /m)
    .filter((part) => beginnings.some((beginning) => part.startsWith(beginning)))
    .map((part) => {
      const [line = '', ...output] = part.split('\n');
      const command = line.replace(/\s+#.*$/, '');
      return { command, args: words(command).slice(3), output: output.join('\n') };
    });
}

function blocks(language: string): string[] {
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map((match) => match[1] ?? '');
}

/** No more of a shell than the README uses: words, and words in single quotes. */
function words(command: string): string[] {
  return [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}
