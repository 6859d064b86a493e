// Runs Azurite until its stdin ends. Whoever starts it holds the other end of that pipe: Azurite can be asked to stop in the same
// way on every system, and it never outlives its starter, even one that is killed.
'use strict';

const graceMilliseconds = 1000;

process.stdin.on('end', () => {
  // What Azurite does at SIGTERM: it stops listening, ends its requests and writes its metadata into its folder.
  if (!process.emit('SIGTERM')) {
    process.exit();
  }
  setTimeout(() => process.exit(), graceMilliseconds).unref();
}).resume().unref();

// Ctrl+C reaches every process at a terminal. The starter gets it too, and needs Azurite until it has stopped its own work.
process.on('SIGINT', () => {});
process.on('newListener', (event, listener) => {
  if (event === 'SIGINT') {
    setImmediate(() => process.off(event, listener));
  }
});

require('azurite/dist/src/azurite.js');
