'use strict';
// The native library. A version that is not this package's is refused: the two speak a language of
// their own.

const { BUILT, find, platformPackage } = require('./addon.js');
const { version } = require('../package.json');

const file = find();
if (file === undefined) {
  throw new Error(
    `kaffic's native library is missing: neither the package ${platformPackage()} nor ${BUILT} is there. ` +
      'Install kaffic again without --omit=optional and --ignore-scripts, or build it: ' +
      '`node install.js` in its folder, with a Rust toolchain.',
  );
}

const native = require(file);
if (native.version() !== version) {
  throw new Error(
    `kaffic ${version} has found a native library of version ${native.version()} in ${file}; install both anew`,
  );
}

module.exports = native;
