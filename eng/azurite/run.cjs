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

// A starter that was killed does not read either: what Azurite says while it stops is lost, and must not break it off.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});

// Ctrl+C reaches every process at a terminal. The starter gets it too, and needs Azurite until it has stopped its own work.
process.on('SIGINT', () => {});
process.on('newListener', (event, listener) => {
  if (event === 'SIGINT') {
    setImmediate(() => process.off(event, listener));
  }
});

// Azurite drops data that no blob refers to when it starts, and then every 10 minutes. Only the first is safe: its query for what is too
// new to drop names a field that the records do not have. So the second waits as long as a timer can, 24 days.
require('azurite/dist/src/blob/utils/constants').DEFAULT_GC_INTERVAL_MS = 2 ** 31 - 1;

require('azurite/dist/src/azurite.js');
