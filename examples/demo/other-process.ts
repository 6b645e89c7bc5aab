// The second process of the demo: it knows nothing but the handle that it was given.
import { Cls } from 'holdfast';

const notebook = await Cls.fromHandle<typeof import('./app.js').Notebook>(process.argv[2] ?? '');
console.log(await notebook.write('from another process'));
