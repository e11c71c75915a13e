// A server that speaks tus: tus-node-server, from the folder where build.sh has put it.
//   node tus.mjs CACHE/tus FOLDER PORT
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, directory, port] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(join(modules, 'node_modules/@tus', name, 'dist/index.js')));
const { Server } = await load('server');
const { FileStore } = await load('file-store');
new Server({ path: '/files', datastore: new FileStore({ directory }) }).listen({ host: '127.0.0.1', port: Number(port) });
