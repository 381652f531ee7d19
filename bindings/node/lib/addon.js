'use strict';
// Where the native library is: in a package of its own for the platform, or beside this one after it
// was built here. `install.js` asks the same.

const path = require('node:path');

const BUILT = path.join(__dirname, '..', 'kaffic.node');

function libc() {
  if (process.platform !== 'linux') return '';
  const report = process.report?.getReport?.();
  const header = typeof report === 'string' ? JSON.parse(report).header : report?.header;
  return header?.glibcVersionRuntime ? '-gnu' : '-musl';
}

/** The name of the package with the library for this platform, as npm/ has them. */
function platformPackage() {
  return `kaffic-${process.platform}-${process.arch}${libc()}`;
}

/** The file of the library, or undefined if there is none. */
function find() {
  for (const candidate of [BUILT, `${platformPackage()}/kaffic.node`]) {
    try {
      return require.resolve(candidate);
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  return undefined;
}

module.exports = { BUILT, find, platformPackage };
