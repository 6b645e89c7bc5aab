// Tells a reaper of processes and unsays the first, then ends without dismissing it.
import { descendantsOf } from '../../src/cli/testing/process-tree.js';
import { Reaper } from '../../src/cli/testing/reaper.js';

const [folder = '', spared, part, server] = process.argv.slice(2);
const reaper = new Reaper(folder);
const forget = reaper.add('part', Number(spared));
reaper.add('part', Number(part));
reaper.add('server', Number(server));
forget();
console.log(JSON.stringify(descendantsOf(process.pid).filter((mark) => mark.pid === reaper.pid)));
process.exit();
